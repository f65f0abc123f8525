package wasihttp

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
)

const bufferSize = 4096

// response is the http.ResponseWriter. As in net/http, a short answer is sent whole with its length,
// a longer one as it is written.
type response struct {
	request  *http.Request
	outparam uint32
	cancel   context.CancelFunc // the client is gone

	header http.Header // the handler's
	head   http.Header // as it was when the status was written
	status int
	buffer []byte
	body   *outgoingBody // once the head is sent
	err    error
}

func (w *response) Header() http.Header { return w.header }

func (w *response) WriteHeader(status int) {
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("invalid WriteHeader code %v", status))
	}
	if status < 200 { // WASI has no informational responses
		return
	}
	if w.status != 0 {
		fmt.Fprintln(os.Stderr, "wasihttp: superfluous WriteHeader call")
		return
	}
	w.status = status
	w.head = w.header.Clone()
}

func (w *response) hasBody() bool {
	return w.request.Method != "HEAD" && w.status != http.StatusNoContent && w.status != http.StatusNotModified
}

func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.request.Method != "HEAD" && !w.hasBody() {
		return 0, http.ErrBodyNotAllowed
	}
	if len(w.buffer)+len(p) <= bufferSize {
		w.buffer = append(w.buffer, p...)
		return len(p), nil
	}
	if err := w.sendBuffer(p); err != nil {
		return 0, err
	}
	return len(p), w.send(p)
}

func (w *response) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

func (w *response) Flush() { _ = w.FlushError() }

func (w *response) FlushError() error {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if err := w.sendBuffer(nil); err != nil {
		return err
	}
	if err := w.body.Flush(); err != nil {
		return w.fail(err)
	}
	return nil
}

// EnableFullDuplex is for http.ResponseController: reading after writing always works here.
func (w *response) EnableFullDuplex() error { return nil }

// sendBuffer sends the head, if that is still to do, and the buffer. next is what will follow.
func (w *response) sendBuffer(next []byte) error {
	if w.err != nil {
		return w.err
	}
	if w.body == nil {
		if err := w.sendHead(append(w.buffer, next[:min(len(next), 512)]...)); err != nil {
			return w.fail(err)
		}
	}
	err := w.send(w.buffer)
	w.buffer = w.buffer[:0]
	return err
}

func (w *response) send(p []byte) error {
	if w.err == nil && w.hasBody() {
		if _, err := w.body.Write(p); err != nil {
			return w.fail(err)
		}
	}
	return w.err
}

func (w *response) fail(err error) error {
	w.err = err
	w.cancel()
	return err
}

func (w *response) sendHead(start []byte) error {
	head := w.head
	if _, set := head["Content-Type"]; !set && len(start) > 0 && head.Get("Content-Encoding") == "" {
		head.Set("Content-Type", http.DetectContentType(start))
	}
	for name, values := range head {
		if strings.HasPrefix(name, http.TrailerPrefix) || len(values) == 0 {
			delete(head, name)
		}
	}
	for _, name := range []string{"Connection", "Transfer-Encoding", "Keep-Alive"} { // the server's business
		delete(head, name)
	}
	fields, err := makeFields(head)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		w.status = http.StatusInternalServerError
		w.head = http.Header{}
		fields = fieldsNew()
	}
	outgoing := responseNew(fields)
	responseSetStatus(outgoing, uint32(w.status))
	body, _ := handleResult(responseBody, outgoing)
	outparamSet(w.outparam, 0, outgoing, 0, 0, 0, 0, 0, 0)
	w.body = newOutgoingBody(body)
	return err
}

// finish ends the answer when the handler has returned.
func (w *response) finish() {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	trailer := w.trailer()
	if w.body == nil && w.hasBody() && len(trailer) == 0 && w.head.Get("Content-Length") == "" {
		w.head.Set("Content-Length", strconv.Itoa(len(w.buffer)))
	}
	if w.sendBuffer(nil) != nil {
		w.abort()
		return
	}
	if err := w.body.finish(trailer); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

// trailer has what the handler announced in the header Trailer, and what it named with http.TrailerPrefix.
func (w *response) trailer() http.Header {
	trailer := make(http.Header)
	for _, name := range strings.Split(strings.Join(w.head.Values("Trailer"), ","), ",") {
		name = http.CanonicalHeaderKey(strings.TrimSpace(name))
		if values := w.header[name]; len(values) > 0 {
			trailer[name] = values
			if w.body == nil {
				delete(w.head, name)
			}
		}
	}
	for name, values := range w.header {
		if after, found := strings.CutPrefix(name, http.TrailerPrefix); found {
			trailer[http.CanonicalHeaderKey(after)] = values
		}
	}
	return trailer
}

// abort ends an answer that cannot be completed.
func (w *response) abort() {
	if w.body == nil {
		outparamSet(w.outparam, 1, internalError, 0, 0, 0, 0, 0, 0)
	} else {
		w.body.abort()
	}
}
