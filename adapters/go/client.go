package wasihttp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Transport sends requests through the server. It is http.DefaultTransport.
type Transport struct{}

func init() { http.DefaultTransport = Transport{} }

func (Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Body != nil {
		defer request.Body.Close()
	}
	if err := request.Context().Err(); err != nil {
		return nil, err
	}
	outgoing, err := newOutgoing(request)
	if err != nil {
		return nil, err
	}
	body, _ := handleResult(outRequestBody, outgoing)
	future, err := send(request, outgoing)
	if err != nil {
		outgoingDrop(body)
		return nil, err
	}
	defer futureDrop(future)
	if err := sendBody(request, newOutgoingBody(body)); err != nil && !errors.Is(err, errClosed) {
		return nil, err
	}
	wait(futureSubscribe(future))
	incoming, err := receive(future)
	if deadline, ok := request.Context().Deadline(); err != nil && ok && !time.Now().Before(deadline) {
		return nil, context.DeadlineExceeded
	}
	if err != nil {
		return nil, err
	}
	return newResponse(request, incoming), nil
}

func newOutgoing(request *http.Request) (uint32, error) {
	header := request.Header.Clone()
	if header == nil {
		header = make(http.Header)
	}
	for _, name := range []string{"Host", "Connection", "Transfer-Encoding", "Keep-Alive"} { // the server's business
		delete(header, name)
	}
	if request.ContentLength > 0 || request.ContentLength == 0 && request.Body == http.NoBody && request.Method == "POST" {
		header.Set("Content-Length", strconv.FormatInt(request.ContentLength, 10))
	}
	if _, set := header["User-Agent"]; !set {
		header.Set("User-Agent", "Go-http-client/1.1")
	}
	fields, err := makeFields(header)
	if err != nil {
		return 0, err
	}
	outgoing := outRequestNew(fields)
	authority := request.Host
	if authority == "" {
		authority = request.URL.Host
	}
	scheme := slices.Index([]string{"http", "https"}, request.URL.Scheme)
	if scheme < 0 || setMethod(outgoing, request.Method) != 0 ||
		outRequestSetScheme(outgoing, 1, uint32(scheme), "") != 0 ||
		outRequestSetAuthority(outgoing, 1, authority) != 0 ||
		outRequestSetPath(outgoing, 1, request.URL.RequestURI()) != 0 {
		outRequestDrop(outgoing)
		return 0, errors.New("wasi:http: the method or URL is not one that can be sent")
	}
	return outgoing, nil
}

func setMethod(outgoing uint32, name string) uint32 {
	if name == "" {
		name = "GET"
	}
	if kind := slices.Index(methods, name); kind >= 0 {
		return outRequestSetMethod(outgoing, uint32(kind), "")
	}
	return outRequestSetMethod(outgoing, otherMethod, name)
}

// send begins the request. The context's deadline becomes WASI's time limits.
func send(request *http.Request, outgoing uint32) (future uint32, err error) {
	var has, options uint32
	if deadline, ok := request.Context().Deadline(); ok {
		left := uint64(max(time.Until(deadline), time.Millisecond))
		has, options = 1, optionsNew()
		optionsConnect(options, 1, left)
		optionsFirstByte(options, 1, left)
		optionsBetweenBytes(options, 1, left)
	}
	outgoingHandle(outgoing, has, options, enter())
	defer leave()
	if result8(0) != 0 {
		return 0, resultError(8)
	}
	return result32(8), nil
}

func sendBody(request *http.Request, body *outgoingBody) error {
	if request.Body != nil {
		if _, err := io.Copy(body, request.Body); err != nil {
			body.abort()
			return err
		}
	}
	return body.finish(request.Trailer)
}

func receive(future uint32) (incoming uint32, err error) {
	futureGet(future, enter())
	defer leave()
	switch {
	case result8(0) == 0 || result8(8) != 0:
		return 0, errors.New("wasi:http: the response was not ready")
	case result8(16) != 0:
		return 0, resultError(24)
	}
	return result32(24), nil
}

func newResponse(request *http.Request, incoming uint32) *http.Response {
	status := int(inResponseStatus(incoming))
	response := &http.Response{
		Status:        strconv.Itoa(status) + " " + http.StatusText(status),
		StatusCode:    status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        takeFields(inResponseHeaders(incoming)),
		Body:          http.NoBody,
		ContentLength: -1,
		Request:       request,
	}
	if length, err := strconv.ParseInt(response.Header.Get("Content-Length"), 10, 64); err == nil {
		response.ContentLength = length
	}
	if body, ok := handleResult(inResponseConsume, incoming); ok {
		response.Body = &responseReader{newIncomingBody(body, &response.Trailer), incoming}
	}
	return response
}

// responseReader lets go of the response together with its body.
type responseReader struct {
	*incomingBody
	incoming uint32
}

func (r *responseReader) Close() error {
	err := r.incomingBody.Close()
	if r.incoming != 0 {
		inResponseDrop(r.incoming)
		r.incoming = 0
	}
	return err
}
