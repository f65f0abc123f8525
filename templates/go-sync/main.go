package main

import (
	"fmt"
	"net/http"

	"{{name}}/wasihttp"
)

// A global belongs to the instance: each has its own, and keeps it from request to request.
var counter int

func init() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "Hello, world!")
	})
	mux.HandleFunc("GET /count", func(w http.ResponseWriter, r *http.Request) {
		counter++
		fmt.Fprintln(w, counter)
	})
	wasihttp.Serve(mux)
	wasihttp.OnStartup(startup)
	wasihttp.OnShutdown(func() { fmt.Println("shutdown") })
}

// An error keeps the app from starting.
func startup() error {
	fmt.Println("startup")
	return nil
}

// A component has no main: init is what runs.
func main() {}
