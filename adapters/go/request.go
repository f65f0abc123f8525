package wasihttp

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// In the order of WASI's variant.
var methods = []string{"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}

const otherMethod = 9

func newRequest(ctx context.Context, incoming uint32) (*http.Request, error) {
	path := stringOption(requestPath, incoming)
	if path == "" {
		path = "/"
	}
	location, err := url.ParseRequestURI(path)
	if err != nil {
		return nil, err
	}
	header := takeFields(requestHeaders(incoming))
	host := stringOption(requestAuthority, incoming)
	if host == "" {
		host = header.Get("Host")
	}
	header.Del("Host") // as net/http does
	request := (&http.Request{
		Method:     method(incoming),
		URL:        location,
		RequestURI: path,
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
		Header:     header,
		Host:       host,
		Body:       http.NoBody,
	}).WithContext(ctx)
	if isHTTPS(incoming) {
		request.TLS = &tls.ConnectionState{HandshakeComplete: true}
	}
	announceTrailers(request)
	request.ContentLength = contentLength(request)
	if request.ContentLength == 0 && header.Get("Content-Length") != "" {
		return request, nil
	}
	body, ok := handleResult(requestConsume, incoming)
	if ok {
		request.Body = newIncomingBody(body, &request.Trailer)
	}
	return request, nil
}

func method(incoming uint32) string {
	requestMethod(incoming, enter())
	defer leave()
	if kind := result8(0); kind < otherMethod {
		return methods[kind]
	}
	return string(resultBytes(4))
}

func isHTTPS(incoming uint32) bool {
	requestScheme(incoming, enter())
	defer leave()
	return result8(0) == 1 && result8(4) == 1
}

// contentLength is -1 if it is unknown. A GET or HEAD that says nothing has no body.
func contentLength(request *http.Request) int64 {
	if value := request.Header.Get("Content-Length"); value != "" {
		if length, err := strconv.ParseInt(value, 10, 64); err == nil && length >= 0 {
			return length
		}
	} else if request.Method == "GET" || request.Method == "HEAD" {
		return 0
	}
	return -1
}

func announceTrailers(request *http.Request) {
	names := request.Header.Values("Trailer")
	if len(names) == 0 {
		return
	}
	request.Trailer = make(http.Header)
	for _, name := range strings.Split(strings.Join(names, ","), ",") {
		if name = strings.TrimSpace(name); name != "" {
			request.Trailer[http.CanonicalHeaderKey(name)] = nil
		}
	}
	request.Header.Del("Trailer")
}

// closeBody lets go of the rest of a request's body.
func closeBody(body io.Closer) {
	if body != nil {
		body.Close()
	}
}
