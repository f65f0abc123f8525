module testbed-go-sync

go 1.25
