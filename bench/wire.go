package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"strconv"
	"time"
)

// A conn is one connection that asks one thing at a time. It knows as much of
// HTTP/1.1 as a Parley server answers with, and spends little on it, so that a
// small machine has its processors for the server.
type conn struct {
	address string
	timeout time.Duration
	now     func() time.Time
	net     net.Conn
	in      *bufio.Reader
	body    bytes.Buffer
}

// An answer is what came back. Body is valid until the next request.
type answer struct {
	status int
	retry  time.Duration // Retry-After; 0 = none
	body   []byte
}

var errAnswer = errors.New("the server answered with something that is not HTTP/1.1")

// ask writes request bytes and reads the answer. A connection that the server
// closed while it was idle is dialled again once; the server's idempotency
// makes that harmless.
func (c *conn) ask(request []byte) (answer, error) {
	again := c.net != nil
	for {
		a, err := c.try(request)
		if err == nil {
			return a, nil
		}
		c.close()
		if !again {
			return a, err
		}
		again = false
	}
}

func (c *conn) try(request []byte) (answer, error) {
	if c.net == nil {
		n, err := net.DialTimeout("tcp", c.address, c.timeout)
		if err != nil {
			return answer{}, err
		}
		c.net, c.in = n, bufio.NewReaderSize(n, 16<<10)
	}
	if err := c.net.SetDeadline(c.now().Add(c.timeout)); err != nil {
		return answer{}, err
	}
	if _, err := c.net.Write(request); err != nil {
		return answer{}, err
	}
	return c.read()
}

func (c *conn) read() (a answer, err error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return a, err
	}
	if len(line) < 13 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return a, errAnswer
	}
	if a.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return a, errAnswer
	}
	length, chunked, last := int64(-1), false, false
	for {
		if line, err = c.in.ReadSlice('\n'); err != nil {
			return a, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, ok := bytes.Cut(line, []byte(": "))
		if !ok {
			return a, errAnswer
		}
		switch string(name) { // as net/http spells them
		case "Content-Length":
			if length, err = strconv.ParseInt(string(value), 10, 64); err != nil {
				return a, errAnswer
			}
		case "Transfer-Encoding":
			chunked = string(value) == "chunked"
		case "Connection":
			last = string(value) == "close"
		case "Retry-After":
			if s, err := strconv.Atoi(string(value)); err == nil {
				a.retry = time.Duration(s) * time.Second
			}
		}
	}
	c.body.Reset()
	switch {
	case chunked:
		if _, err = c.body.ReadFrom(httputil.NewChunkedReader(c.in)); err != nil {
			return a, err
		}
		if _, err = c.in.ReadSlice('\n'); err != nil { // the empty line after the last chunk
			return a, err
		}
	case length > 0:
		if _, err = io.CopyN(&c.body, c.in, length); err != nil {
			return a, err
		}
	case length < 0:
		return a, fmt.Errorf("%w: no length", errAnswer)
	}
	a.body = c.body.Bytes()
	if last {
		c.close()
	}
	return a, nil
}

func (c *conn) close() {
	if c.net != nil {
		_ = c.net.Close() // nothing more is expected of it
		c.net = nil
	}
}
