// An ordinary net/http app: nothing in this file knows of WebAssembly.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"strconv"
	"time"
)

type note struct {
	ID   int    `json:"id"`
	Text string `json:"text"`
}

type app struct {
	notes []note
}

func (a *app) startup() error {
	greeting := os.Getenv("GREETING")
	if greeting == "none" {
		return errors.New("GREETING must not be none")
	}
	if greeting == "" {
		greeting = "Hello, world!"
	}
	a.notes = []note{{1, greeting}}
	log.Printf("startup with %d note", len(a.notes))
	return nil
}

func (a *app) shutdown() {
	log.Printf("shutdown with %d notes", len(a.notes))
}

func (a *app) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, a.notes[0].Text)
	})
	mux.HandleFunc("GET /notes", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, a.notes)
	})
	mux.HandleFunc("POST /notes", a.add)
	mux.HandleFunc("GET /notes/{id}", a.show)
	mux.HandleFunc("GET /ticks", ticks)
	return logged(mux)
}

func (a *app) add(w http.ResponseWriter, r *http.Request) {
	var n note
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&n); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	n.ID = len(a.notes) + 1
	a.notes = append(a.notes, n)
	w.Header().Set("Location", fmt.Sprintf("/notes/%d", n.ID))
	writeJSON(w, http.StatusCreated, n)
}

func (a *app) show(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil || id < 1 || id > len(a.notes) {
		http.NotFound(w, r)
		return
	}
	writeJSON(w, http.StatusOK, a.notes[id-1])
}

// ticks streams events, one every 200 ms.
func ticks(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	stream := http.NewResponseController(w)
	for i := range 5 {
		fmt.Fprintf(w, "data: tick %d\n\n", i+1)
		if stream.Flush() != nil {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// logged is middleware.
func logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		next.ServeHTTP(w, r)
		log.Printf("%s %s took %v", r.Method, r.URL.Path, time.Since(start).Round(time.Microsecond))
	})
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(value)
}
