// A client by gorilla/websocket as Debian has it, which most servers and clients in Go use; test_gorilla.py runs it.
//
//	gorilla URL CERTIFICATES.pem COMPRESSION
//
// It signs in as user 7, pings, sends a heartbeat and a long packet for the back end, prints what comes, and leaves when it is told to by a push of
// operation 1001. SPDX-License-Identifier: MIT
package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/gorilla/websocket"
)

const headBytes = 16

func packet(op, seq uint32, body []byte) []byte {
	p := make([]byte, headBytes, headBytes+len(body))
	binary.BigEndian.PutUint32(p, uint32(headBytes+len(body)))
	binary.BigEndian.PutUint16(p[4:], headBytes)
	binary.BigEndian.PutUint16(p[6:], 1)
	binary.BigEndian.PutUint32(p[8:], op)
	binary.BigEndian.PutUint32(p[12:], seq)
	return append(p, body...)
}

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// The packets of one message, a line each, and those that are pushed inside one of operation 9; whether one of them says to leave.
func tell(message []byte) bool {
	leave := false
	for len(message) >= headBytes {
		n := binary.BigEndian.Uint32(message)
		if n < headBytes || int(n) > len(message) {
			must(errors.New("a packet is cut off"))
		}
		op, body := binary.BigEndian.Uint32(message[8:]), message[headBytes:n]
		if message = message[n:]; op == 9 {
			leave = tell(body) || leave
			continue
		}
		fmt.Printf("op %d bytes %d sha256 %x\n", op, len(body), sha256.Sum256(body))
		leave = leave || op == 1001
	}
	return leave
}

func main() {
	authorities := x509.NewCertPool()
	pem, err := os.ReadFile(os.Args[2])
	must(err)
	authorities.AppendCertsFromPEM(pem)
	dialer := websocket.Dialer{
		EnableCompression: os.Args[3] == "yes",
		HandshakeTimeout:  20 * time.Second,
		TLSClientConfig:   &tls.Config{RootCAs: authorities},
	}
	c, response, err := dialer.Dial(os.Args[1], nil)
	must(err)
	fmt.Printf("extensions %q\n", response.Header.Get("Sec-WebSocket-Extensions"))
	must(c.SetReadDeadline(time.Now().Add(60 * time.Second)))
	c.SetPongHandler(func(text string) error { fmt.Println("pong", text); return nil })
	must(c.WriteMessage(websocket.BinaryMessage, packet(7, 1, []byte(`{"mid":7,"accepts":[1000,1001]}`))))
	must(c.WriteControl(websocket.PingMessage, []byte("there?"), time.Now().Add(20*time.Second)))
	must(c.WriteMessage(websocket.BinaryMessage, packet(2, 2, nil)))
	must(c.WriteMessage(websocket.BinaryMessage, packet(2000, 3, bytes.Repeat([]byte("y"), 4000))))
	for {
		_, message, err := c.ReadMessage()
		var closed *websocket.CloseError
		if errors.As(err, &closed) {
			fmt.Println("closed", closed.Code, closed.Text)
			return
		}
		must(err)
		if tell(message) {
			must(c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")))
		}
	}
}
