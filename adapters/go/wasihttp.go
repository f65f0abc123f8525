// Package wasihttp serves a net/http handler as an app of WASI 0.2. See the README.
package wasihttp

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"runtime/debug"
	"unsafe"
)

var (
	handler  http.Handler = http.DefaultServeMux
	startup               = func() error { return nil }
	shutdown              = func() {}
)

// Serve makes h answer the requests; nil is http.DefaultServeMux. To be called from an init function.
func Serve(h http.Handler) {
	if h == nil {
		h = http.DefaultServeMux
	}
	handler = h
}

// OnStartup has f called in each instance before its first request. With an error the app does not start.
func OnStartup(f func() error) { startup = f }

// OnShutdown has f called in each instance after its last request.
func OnShutdown(f func()) { shutdown = f }

//go:wasmexport wasi:http/incoming-handler@0.2.10#handle
func handle(incoming, outparam uint32) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	request, err := newRequest(ctx, incoming)
	defer requestDrop(incoming)
	w := &response{request: request, outparam: outparam, cancel: cancel, header: make(http.Header)}
	if err != nil {
		w.request = &http.Request{Method: "GET"}
		http.Error(w, err.Error(), http.StatusBadRequest)
		w.finish()
		return
	}
	defer closeBody(request.Body)
	serve(w)
}

func serve(w *response) {
	defer func() {
		switch failure := recover(); {
		case failure == nil:
			w.finish()
		case failure == http.ErrAbortHandler:
			w.abort()
		default:
			fmt.Fprintf(os.Stderr, "panic: %v\n\n%s", failure, debug.Stack())
			w.failed()
		}
	}()
	handler.ServeHTTP(w, w.request)
}

// failed answers with a 500 if nothing was sent yet.
func (w *response) failed() {
	if w.body != nil {
		w.abort()
		return
	}
	w.status, w.header, w.buffer = 0, make(http.Header), nil
	http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
	w.finish()
}

// What startup returns stays here until the server has read it.
var (
	startupResult  [3]uint32
	startupMessage []byte
)

//go:wasmexport wasmserve:lifespan/lifespan@0.1.0#startup
func lifespanStartup() unsafe.Pointer {
	if err := startup(); err != nil {
		startupMessage = append([]byte(err.Error()), 0) // never empty, so that it has an address
		startupResult = [3]uint32{1, uint32(uintptr(unsafe.Pointer(&startupMessage[0]))), uint32(len(startupMessage) - 1)}
	}
	return unsafe.Pointer(&startupResult)
}

//go:wasmexport wasmserve:lifespan/lifespan@0.1.0#shutdown
func lifespanShutdown() { shutdown() }
