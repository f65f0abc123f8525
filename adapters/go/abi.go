package wasihttp

import (
	"strings"
	"sync"
	"unsafe"
)

// What a function of WASI returns beyond a number, it writes to memory: into results, and strings and
// lists into memory that it asks cabi_realloc for. Go's collector calls WASI for the time, which is
// forbidden until the function has returned, and any allocation can start it. So cabi_realloc takes
// memory that exists from the start, and what it holds is copied before the next call.
var (
	abi     sync.Mutex // held from a call until its results are copied
	calling bool
	results [8]uint64
	scratch [1 << 20]byte // no call made here returns as much: bodies are read in pieces, heads are limited
	used    uintptr

	// The adapter from WASI 0.1 takes memory too, once and for ever, before Go's runtime has started.
	forever     [3 << 16]byte
	foreverUsed uintptr
)

const maxRead = 64 << 10

//go:wasmexport cabi_realloc
func cabiRealloc(old unsafe.Pointer, oldSize, align, size uintptr) unsafe.Pointer {
	if calling {
		return take(unsafe.Pointer(&scratch), unsafe.Sizeof(scratch), &used, align, size)
	}
	return take(unsafe.Pointer(&forever), unsafe.Sizeof(forever), &foreverUsed, align, size)
}

func take(from unsafe.Pointer, capacity uintptr, used *uintptr, align, size uintptr) unsafe.Pointer {
	start := uintptr(from)
	at := (start+*used+align-1)&^(align-1) - start
	if size > capacity || at > capacity-size {
		panic("wasihttp: the server returned more than 1 MiB at once")
	}
	*used = at + size
	return unsafe.Add(from, at)
}

// enter begins a call that returns through memory, leave ends it when its results are copied.
func enter() unsafe.Pointer {
	abi.Lock()
	calling, used = true, 0
	return unsafe.Pointer(&results)
}

func leave() {
	calling = false
	abi.Unlock()
}

func result8(at uintptr) uint8 {
	return *(*uint8)(unsafe.Add(unsafe.Pointer(&results), at))
}

func result32(at uintptr) uint32 {
	return *(*uint32)(unsafe.Add(unsafe.Pointer(&results), at))
}

// returned is the bytes of a string or list whose address and length are there. They must be copied.
func returned(at unsafe.Pointer) []byte {
	address, length := *(*uint32)(at), *(*uint32)(unsafe.Add(at, 4))
	if length == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(&scratch), uintptr(address)-uintptr(unsafe.Pointer(&scratch)))), length)
}

func resultBytes(at uintptr) []byte {
	return returned(unsafe.Add(unsafe.Pointer(&results), at))
}

// stringOption is an option<string> at the beginning of the results.
func stringOption(f func(self uint32, ret unsafe.Pointer), self uint32) string {
	f(self, enter())
	defer leave()
	if result8(0) == 0 {
		return ""
	}
	return string(resultBytes(4))
}

// handleResult is a result with a handle if it is ok.
func handleResult(f func(self uint32, ret unsafe.Pointer), self uint32) (handle uint32, ok bool) {
	f(self, enter())
	defer leave()
	return result32(4), result8(0) == 0
}

const internalError = 38

var errorCodes = strings.Fields(`DNS-timeout DNS-error destination-not-found destination-unavailable
	destination-IP-prohibited destination-IP-unroutable connection-refused connection-terminated connection-timeout
	connection-read-timeout connection-write-timeout connection-limit-reached TLS-protocol-error TLS-certificate-error
	TLS-alert-received HTTP-request-denied HTTP-request-length-required HTTP-request-body-size
	HTTP-request-method-invalid HTTP-request-URI-invalid HTTP-request-URI-too-long HTTP-request-header-section-size
	HTTP-request-header-size HTTP-request-trailer-section-size HTTP-request-trailer-size HTTP-response-incomplete
	HTTP-response-header-section-size HTTP-response-header-size HTTP-response-body-size
	HTTP-response-trailer-section-size HTTP-response-trailer-size HTTP-response-transfer-coding
	HTTP-response-content-coding HTTP-response-timeout HTTP-upgrade-failed HTTP-protocol-error loop-detected
	configuration-error internal-error`)

// errorCode is an error of wasi:http, as WASI spells it.
type errorCode string

func (e errorCode) Error() string { return "wasi:http: " + string(e) }

// resultError is the error-code in the results, there.
func resultError(at uintptr) errorCode {
	code := int(result8(at))
	if code >= len(errorCodes) {
		return "an unknown error"
	}
	if code == internalError && result8(at+8) == 1 {
		return errorCode("internal-error: " + string(resultBytes(at+12)))
	}
	return errorCode(errorCodes[code])
}

//go:wasmimport wasi:http/types@0.2.10 [constructor]fields
func fieldsNew() uint32

//go:wasmimport wasi:http/types@0.2.10 [method]fields.append
func fieldsAppend(self uint32, name, value string, ret unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.10 [method]fields.entries
func fieldsEntries(self uint32, ret unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.10 [resource-drop]fields
func fieldsDrop(self uint32)

//go:wasmimport wasi:http/types@0.2.10 [method]incoming-request.method
func requestMethod(self uint32, ret unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.10 [method]incoming-request.path-with-query
func requestPath(self uint32, ret unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.10 [method]incoming-request.scheme
func requestScheme(self uint32, ret unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.10 [method]incoming-request.authority
func requestAuthority(self uint32, ret unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.10 [method]incoming-request.headers
func requestHeaders(self uint32) uint32

//go:wasmimport wasi:http/types@0.2.10 [method]incoming-request.consume
func requestConsume(self uint32, ret unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.10 [resource-drop]incoming-request
func requestDrop(self uint32)

//go:wasmimport wasi:http/types@0.2.10 [method]incoming-body.stream
func incomingStream(self uint32, ret unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.10 [static]incoming-body.finish
func incomingFinish(self uint32) uint32

//go:wasmimport wasi:http/types@0.2.10 [resource-drop]incoming-body
func incomingDrop(self uint32)

//go:wasmimport wasi:http/types@0.2.10 [method]future-trailers.subscribe
func trailersSubscribe(self uint32) uint32

//go:wasmimport wasi:http/types@0.2.10 [method]future-trailers.get
func trailersGet(self uint32, ret unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.10 [resource-drop]future-trailers
func trailersDrop(self uint32)

//go:wasmimport wasi:http/types@0.2.10 [constructor]outgoing-response
func responseNew(headers uint32) uint32

//go:wasmimport wasi:http/types@0.2.10 [method]outgoing-response.set-status-code
func responseSetStatus(self, status uint32) uint32

//go:wasmimport wasi:http/types@0.2.10 [method]outgoing-response.body
func responseBody(self uint32, ret unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.10 [static]response-outparam.set
func outparamSet(self, isError, value, a uint32, b uint64, c, d, e, f uint32)

//go:wasmimport wasi:http/types@0.2.10 [method]outgoing-body.write
func outgoingWrite(self uint32, ret unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.10 [static]outgoing-body.finish
func outgoingFinish(self, hasTrailers, trailers uint32, ret unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.10 [resource-drop]outgoing-body
func outgoingDrop(self uint32)

//go:wasmimport wasi:io/streams@0.2.10 [method]input-stream.blocking-read
func streamRead(self uint32, length uint64, ret unsafe.Pointer)

//go:wasmimport wasi:io/streams@0.2.10 [resource-drop]input-stream
func inputDrop(self uint32)

//go:wasmimport wasi:io/streams@0.2.10 [method]output-stream.check-write
func streamCheckWrite(self uint32, ret unsafe.Pointer)

//go:wasmimport wasi:io/streams@0.2.10 [method]output-stream.write
func streamWrite(self uint32, data unsafe.Pointer, length uint32, ret unsafe.Pointer)

//go:wasmimport wasi:io/streams@0.2.10 [method]output-stream.blocking-flush
func streamFlush(self uint32, ret unsafe.Pointer)

//go:wasmimport wasi:io/streams@0.2.10 [method]output-stream.subscribe
func streamSubscribe(self uint32) uint32

//go:wasmimport wasi:io/streams@0.2.10 [resource-drop]output-stream
func outputDrop(self uint32)

//go:wasmimport wasi:io/error@0.2.10 [resource-drop]error
func errorDrop(self uint32)

//go:wasmimport wasi:io/poll@0.2.10 [method]pollable.block
func pollableBlock(self uint32)

//go:wasmimport wasi:io/poll@0.2.10 [resource-drop]pollable
func pollableDrop(self uint32)

//go:wasmimport wasi:http/types@0.2.10 [constructor]outgoing-request
func outRequestNew(headers uint32) uint32

//go:wasmimport wasi:http/types@0.2.10 [method]outgoing-request.set-method
func outRequestSetMethod(self, kind uint32, other string) uint32

//go:wasmimport wasi:http/types@0.2.10 [method]outgoing-request.set-scheme
func outRequestSetScheme(self, some, kind uint32, other string) uint32

//go:wasmimport wasi:http/types@0.2.10 [method]outgoing-request.set-authority
func outRequestSetAuthority(self, some uint32, authority string) uint32

//go:wasmimport wasi:http/types@0.2.10 [method]outgoing-request.set-path-with-query
func outRequestSetPath(self, some uint32, path string) uint32

//go:wasmimport wasi:http/types@0.2.10 [method]outgoing-request.body
func outRequestBody(self uint32, ret unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.10 [resource-drop]outgoing-request
func outRequestDrop(self uint32)

//go:wasmimport wasi:http/types@0.2.10 [constructor]request-options
func optionsNew() uint32

//go:wasmimport wasi:http/types@0.2.10 [method]request-options.set-connect-timeout
func optionsConnect(self, some uint32, nanoseconds uint64) uint32

//go:wasmimport wasi:http/types@0.2.10 [method]request-options.set-first-byte-timeout
func optionsFirstByte(self, some uint32, nanoseconds uint64) uint32

//go:wasmimport wasi:http/types@0.2.10 [method]request-options.set-between-bytes-timeout
func optionsBetweenBytes(self, some uint32, nanoseconds uint64) uint32

//go:wasmimport wasi:http/outgoing-handler@0.2.10 handle
func outgoingHandle(request, hasOptions, options uint32, ret unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.10 [method]future-incoming-response.subscribe
func futureSubscribe(self uint32) uint32

//go:wasmimport wasi:http/types@0.2.10 [method]future-incoming-response.get
func futureGet(self uint32, ret unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.10 [resource-drop]future-incoming-response
func futureDrop(self uint32)

//go:wasmimport wasi:http/types@0.2.10 [method]incoming-response.status
func inResponseStatus(self uint32) uint32

//go:wasmimport wasi:http/types@0.2.10 [method]incoming-response.headers
func inResponseHeaders(self uint32) uint32

//go:wasmimport wasi:http/types@0.2.10 [method]incoming-response.consume
func inResponseConsume(self uint32, ret unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.10 [resource-drop]incoming-response
func inResponseDrop(self uint32)
