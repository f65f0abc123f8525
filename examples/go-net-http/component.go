//go:build wasip1

package main

import "go-net-http/wasihttp"

func init() {
	a := &app{}
	wasihttp.Serve(a.handler())
	wasihttp.OnStartup(a.startup)
	wasihttp.OnShutdown(a.shutdown)
}

func main() {}
