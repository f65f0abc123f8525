// The testbed in Go: guests/README.md lists its routes.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"testbed-go-sync/wasihttp"
)

func init() {
	wasihttp.Serve(routes())
	wasihttp.OnStartup(startup)
	wasihttp.OnShutdown(func() { fmt.Println("testbed: shutdown") })
}

func main() {}

func startup() error {
	if message, fails := strings.CutPrefix(os.Getenv("TESTBED_STARTUP"), "fail:"); fails {
		return errors.New(message)
	}
	fmt.Println("testbed: startup")
	return nil
}

func routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", hello)
	mux.HandleFunc("/hello", hello)
	mux.HandleFunc("/count", count)
	mux.HandleFunc("/echo", echo)
	mux.HandleFunc("/trailers", trailers)
	mux.HandleFunc("/stream", stream)
	mux.HandleFunc("/sleep", sleep)
	mux.HandleFunc("/burn", burn)
	mux.HandleFunc("/trap", trap)
	mux.HandleFunc("/throw", throw)
	mux.HandleFunc("/env", env)
	mux.HandleFunc("/out", out)
	mux.HandleFunc("/status", status)
	return plainText(mux)
}

func plainText(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		next.ServeHTTP(w, r)
	})
}

func hello(w http.ResponseWriter, r *http.Request) {
	io.WriteString(w, "Hello, world!")
}

var counter int

func count(w http.ResponseWriter, r *http.Request) {
	counter++
	fmt.Fprint(w, counter)
}

func echo(w http.ResponseWriter, r *http.Request) {
	if kind := r.Header.Get("Content-Type"); kind != "" {
		w.Header().Set("Content-Type", kind)
	}
	buffer := make([]byte, 64<<10)
	for {
		n, err := r.Body.Read(buffer)
		if n > 0 {
			if _, err := w.Write(buffer[:n]); err != nil {
				return
			}
			w.(http.Flusher).Flush()
		}
		if err != nil {
			return
		}
	}
}

func trailers(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Trailer", "x-trailer")
	io.WriteString(w, "body")
	w.Header().Set("X-Trailer", "yes")
}

func stream(w http.ResponseWriter, r *http.Request) {
	chunk := []byte(strings.Repeat("x", number(r, "bytes", 1024)))
	for range number(r, "chunks", math.MaxInt32) {
		if _, err := w.Write(chunk); err != nil {
			return
		}
		w.(http.Flusher).Flush()
		time.Sleep(milliseconds(r))
	}
}

func sleep(w http.ResponseWriter, r *http.Request) {
	time.Sleep(milliseconds(r))
	io.WriteString(w, "slept")
}

func burn(w http.ResponseWriter, r *http.Request) {
	for end := time.Now().Add(milliseconds(r)); time.Now().Before(end); {
	}
	io.WriteString(w, "burned")
}

// A panic in a goroutine of its own cannot be recovered from: Go ends the program.
func trap(w http.ResponseWriter, r *http.Request) {
	go panic("trap on purpose")
	select {}
}

func throw(w http.ResponseWriter, r *http.Request) { throwOuter() }

func throwOuter() { throwInner() }

func throwInner() { panic("thrown on purpose") }

func env(w http.ResponseWriter, r *http.Request) {
	values := make(map[string]string)
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		values[name] = value
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(values)
}

func out(w http.ResponseWriter, r *http.Request) {
	response, err := http.Get(r.FormValue("url"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 200))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	fmt.Fprintf(w, "status %d\n%s", response.StatusCode, body)
}

func status(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(number(r, "code", http.StatusOK))
	io.WriteString(w, r.URL.Query().Get("body"))
}

func number(r *http.Request, name string, otherwise int) int {
	if n, err := strconv.Atoi(r.URL.Query().Get(name)); err == nil {
		return n
	}
	return otherwise
}

func milliseconds(r *http.Request) time.Duration {
	return time.Duration(number(r, "ms", 0)) * time.Millisecond
}
