package wasihttp

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"unsafe"
)

// wait blocks the instance until a pollable is ready. Other goroutines get a turn first, so that
// requests which they are about to send are under way meanwhile.
func wait(pollable uint32) {
	runtime.Gosched()
	pollableBlock(pollable)
	pollableDrop(pollable)
}

// streamError is the stream-error in the results, there: closed is what is given for the end.
func streamError(at uintptr, closed error) error {
	if result8(at) == 1 {
		return closed
	}
	errorDrop(result32(at + 4))
	return errors.New("wasi:io: the other side is gone, or broke a limit")
}

// incomingBody is the body of a request that came, or of a response.
type incomingBody struct {
	body, stream uint32
	trailer      *http.Header
	err          error // once there is nothing more to read
}

func newIncomingBody(body uint32, trailer *http.Header) *incomingBody {
	stream, ok := handleResult(incomingStream, body)
	if !ok {
		panic("wasihttp: the body has no stream")
	}
	return &incomingBody{body: body, stream: stream, trailer: trailer}
}

func (b *incomingBody) Read(p []byte) (int, error) {
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	n, err := b.read(p)
	if err != nil {
		b.err = err
		if err == io.EOF {
			b.finish()
		} else {
			b.drop()
		}
		return 0, b.err
	}
	return n, nil
}

func (b *incomingBody) read(p []byte) (int, error) {
	for {
		streamRead(b.stream, uint64(min(len(p), maxRead)), enter())
		if result8(0) != 0 {
			defer leave()
			return 0, streamError(4, io.EOF)
		}
		n := copy(p, resultBytes(4))
		leave()
		if n > 0 {
			return n, nil
		}
	}
}

// finish gets the trailers.
func (b *incomingBody) finish() {
	inputDrop(b.stream)
	future := incomingFinish(b.body)
	b.stream, b.body = 0, 0
	wait(trailersSubscribe(future))
	trailersGet(future, enter())
	var fields uint32
	switch {
	case result8(0) == 0 || result8(8) != 0:
	case result8(16) != 0:
		b.err = resultError(24)
	case result8(24) == 1:
		fields = result32(28)
	}
	leave()
	if fields != 0 {
		*b.trailer = takeFields(fields)
	}
	trailersDrop(future)
}

func (b *incomingBody) drop() {
	if b.stream != 0 {
		inputDrop(b.stream)
		incomingDrop(b.body)
		b.stream, b.body = 0, 0
	}
}

func (b *incomingBody) Close() error {
	b.drop()
	if b.err == nil {
		b.err = http.ErrBodyReadAfterClose
	}
	return nil
}

// outgoingBody is the body of an answer, or of a request that is sent.
type outgoingBody struct {
	body, stream uint32
}

func newOutgoingBody(body uint32) *outgoingBody {
	stream, ok := handleResult(outgoingWrite, body)
	if !ok {
		panic("wasihttp: the body has no stream")
	}
	return &outgoingBody{body, stream}
}

var errClosed = errors.New("wasi:io: the other side reads no more")

func (b *outgoingBody) Write(p []byte) (n int, err error) {
	for n < len(p) {
		room, err := b.room()
		if err != nil {
			return n, err
		}
		if room == 0 {
			wait(streamSubscribe(b.stream))
			continue
		}
		size := int(min(room, uint64(len(p)-n)))
		streamWrite(b.stream, unsafe.Pointer(&p[n]), uint32(size), enter())
		if result8(0) != 0 {
			err = streamError(4, errClosed)
		}
		leave()
		if err != nil {
			return n, err
		}
		n += size
	}
	return n, nil
}

func (b *outgoingBody) room() (uint64, error) {
	streamCheckWrite(b.stream, enter())
	defer leave()
	if result8(0) != 0 {
		return 0, streamError(8, errClosed)
	}
	return results[1], nil
}

// Flush waits until the server has taken everything.
func (b *outgoingBody) Flush() error {
	streamFlush(b.stream, enter())
	defer leave()
	if result8(0) != 0 {
		return streamError(4, errClosed)
	}
	return nil
}

func (b *outgoingBody) finish(trailer http.Header) error {
	outputDrop(b.stream)
	var has, fields uint32
	if len(trailer) > 0 {
		handle, err := makeFields(trailer)
		if err != nil {
			outgoingDrop(b.body)
			return err
		}
		has, fields = 1, handle
	}
	outgoingFinish(b.body, has, fields, enter())
	defer leave()
	if result8(0) != 0 {
		return resultError(8)
	}
	return nil
}

// abort leaves the body unfinished, so that the other side knows that something is missing.
func (b *outgoingBody) abort() {
	outputDrop(b.stream)
	outgoingDrop(b.body)
}

var headerErrors = []string{"invalid syntax", "forbidden", "immutable"}

func makeFields(header http.Header) (uint32, error) {
	fields := fieldsNew()
	for name, values := range header {
		for _, value := range values {
			fieldsAppend(fields, name, value, enter())
			failed, code := result8(0) != 0, result8(1)
			leave()
			if failed {
				fieldsDrop(fields)
				return 0, fmt.Errorf("wasi:http: the header %q: %s", name, headerErrors[code])
			}
		}
	}
	return fields, nil
}

// takeFields reads fields and drops them.
func takeFields(fields uint32) http.Header {
	fieldsEntries(fields, enter())
	defer fieldsDrop(fields)
	defer leave()
	header := make(http.Header, result32(4))
	if result32(4) == 0 {
		return header
	}
	list := unsafe.Pointer(&scratch[uintptr(result32(0))-uintptr(unsafe.Pointer(&scratch))])
	for i := range uintptr(result32(4)) {
		entry := unsafe.Add(list, 16*i)
		header.Add(string(returned(entry)), string(returned(unsafe.Add(entry, 8))))
	}
	return header
}
