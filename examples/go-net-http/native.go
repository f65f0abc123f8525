//go:build !wasip1

package main

import (
	"log"
	"net/http"
)

func main() {
	a := &app{}
	if err := a.startup(); err != nil {
		log.Fatal(err)
	}
	defer a.shutdown()
	log.Print(http.ListenAndServe("127.0.0.1:8000", a.handler()))
}
