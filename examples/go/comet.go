// Package comet is Comet's HTTP API for back ends. One file, nothing but Go's own library; docs/http-api.md is its contract.
//
//	c := comet.New("http://127.0.0.1:3111", "API KEY")
//	err := c.PushUsers(ctx, 1000, []byte("hello"), "7", "ann")
//	position, err := c.PushRoom(ctx, 1000, []byte("hello"), "chat", "1", nil)
//	err = c.Upstream(ctx, after, func(p comet.Packet) error { ...; return save(p.ID) })
//
// A call that fails returns an *Error, whose Code is the API's (docs/http-api.md), or 0 where no answer came. What can do no harm when it
// is done twice is tried again, up to Tries times: questions, kicks, and pushes to rooms, which get an Idempotency-Key for it. Other
// pushes are tried again only where the server certainly did not take them. A Client may be used by many goroutines.
// SPDX-License-Identifier: MIT
package comet

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Error is what the API says, or why it said nothing.
type Error struct {
	Code  int
	Words string

	again, untaken bool // another try may go better; and the server did nothing
	after          time.Duration
}

func (e *Error) Error() string { return fmt.Sprintf("%s (%d)", e.Words, e.Code) }

// Client calls the API. Its fields may be changed before the first call.
type Client struct {
	URL, APIKey string
	HTTP        *http.Client
	Timeout     time.Duration // of each try
	Tries       int
	Pause       time.Duration // before the second try, and twice as long before each further one
}

// New makes a client; an empty key is none.
func New(url, apiKey string) *Client {
	return &Client{URL: url, APIKey: apiKey, HTTP: &http.Client{}, Timeout: 5 * time.Second, Tries: 3, Pause: 200 * time.Millisecond}
}

// ---- pushes

func operation(op int32) url.Values { return url.Values{"operation": {strconv.Itoa(int(op))}} }

// PushKeys pushes to connections, by their keys.
func (c *Client) PushKeys(ctx context.Context, op int32, body []byte, keys ...string) error {
	params := operation(op)
	params["keys"] = keys
	_, err := c.call(ctx, request{method: "POST", path: "/goim/push/keys", params: params, body: body})
	return err
}

// PushUsers pushes to all connections of users; a number in decimal is a user, too.
func (c *Client) PushUsers(ctx context.Context, op int32, body []byte, users ...string) error {
	params := operation(op)
	params["users"] = users
	_, err := c.call(ctx, request{method: "POST", path: "/goim/push/users", params: params, body: body})
	return err
}

// RoomOptions of one push: it is not kept; it is made once under this name.
type RoomOptions struct {
	Unkept bool
	Name   string
}

// PushRoom pushes to a room, and returns the push's number where the room is kept, otherwise 0.
func (c *Client) PushRoom(ctx context.Context, op int32, body []byte, kind, room string, options *RoomOptions) (int64, error) {
	params := operation(op)
	params.Set("type", kind)
	params.Set("room", room)
	name := ""
	if options != nil {
		name = options.Name
		if options.Unkept {
			params.Set("keep", "no")
		}
	}
	if name == "" {
		random := make([]byte, 16)
		if _, err := rand.Read(random); err != nil {
			return 0, err
		}
		name = hex.EncodeToString(random)
	}
	answer, err := c.call(ctx, request{method: "POST", path: "/goim/push/room", params: params, body: body, name: name, isSafe: true})
	if err != nil || answer.headers.Get("Comet-Position") == "" {
		return 0, err
	}
	return strconv.ParseInt(answer.headers.Get("Comet-Position"), 10, 64)
}

// PushAll pushes to everybody, to so many a second at most; 0: without a limit.
func (c *Client) PushAll(ctx context.Context, op int32, body []byte, speed int) error {
	params := operation(op)
	params.Set("speed", strconv.Itoa(speed))
	_, err := c.call(ctx, request{method: "POST", path: "/goim/push/all", params: params, body: body})
	return err
}

// Push is a line of a batch: to Keys, Users, a Room of a Type, or All.
type Push struct {
	Operation int32    `json:"operation"`
	Body      string   `json:"body"`
	Keys      []string `json:"keys,omitempty"`
	Users     []string `json:"users,omitempty"`
	Type      string   `json:"type,omitempty"`
	Room      string   `json:"room,omitempty"`
	All       bool     `json:"-"`
	Name      string   `json:"idempotency_key,omitempty"`
}

// MarshalJSON leaves out All where it is false, since there being an "all" makes it a push to all.
func (p Push) MarshalJSON() ([]byte, error) {
	type plain Push
	if !p.All {
		return json.Marshal(plain(p))
	}
	return json.Marshal(struct {
		plain
		All bool `json:"all"`
	}{plain(p), true})
}

// Answer is a line of the answer to a batch.
type Answer struct {
	Code     int    `json:"code"`
	Message  string `json:"message"`
	Position int64  `json:"position"`
}

// Batch makes many pushes, in their order. Each answer has its own code: one that failed is no error of the call.
func (c *Client) Batch(ctx context.Context, pushes []Push) ([]Answer, error) {
	var lines bytes.Buffer
	encoder := json.NewEncoder(&lines) // which ends each with a newline
	for _, push := range pushes {
		if err := encoder.Encode(push); err != nil {
			return nil, err
		}
	}
	told, err := c.call(ctx, request{method: "POST", path: "/goim/batch", body: lines.Bytes(), isLines: true,
		waitMore: 10 * time.Second}) // so long the server begins with further lines
	if err != nil {
		return nil, err
	}
	answers := make([]Answer, 0, len(pushes))
	for decoder := json.NewDecoder(bytes.NewReader(told.body)); decoder.More(); {
		var answer Answer
		if err := decoder.Decode(&answer); err != nil {
			return nil, err
		}
		answers = append(answers, answer)
	}
	return answers, nil
}

// ---- people

// KickUsers and KickKeys return how many connections were sent away.
func (c *Client) KickUsers(ctx context.Context, users ...string) (int, error) {
	return c.kick(ctx, url.Values{"users": users})
}

// KickKeys: see KickUsers.
func (c *Client) KickKeys(ctx context.Context, keys ...string) (int, error) {
	return c.kick(ctx, url.Values{"keys": keys})
}

func (c *Client) kick(ctx context.Context, who url.Values) (int, error) {
	var kicked struct{ Kicked int }
	err := c.data(ctx, request{method: "POST", path: "/goim/kick", params: who}, &kicked)
	return kicked.Kicked, err
}

// Online is how many are there.
type Online struct {
	Connections int `json:"conn_count"`
	Addresses   int `json:"ip_count"`
}

// Online asks how many are there.
func (c *Client) Online(ctx context.Context) (Online, error) {
	var online Online
	err := c.data(ctx, request{method: "GET", path: "/goim/online/total"}, &online)
	return online, err
}

// OnlineRooms asks how many are in rooms of a type.
func (c *Client) OnlineRooms(ctx context.Context, kind string, rooms ...string) (map[string]int, error) {
	counts := map[string]int{}
	err := c.data(ctx, request{method: "GET", path: "/goim/online/room", params: url.Values{"type": {kind}, "rooms": rooms}}, &counts)
	return counts, err
}

// ---- streams

// Positions are the newest numbers of rooms, by type://room. Read them before the data that a client is to have.
func (c *Client) Positions(ctx context.Context, kind string, rooms ...string) (map[string]int64, error) {
	positions := map[string]int64{}
	err := c.data(ctx, request{method: "GET", path: "/goim/stream/position", params: url.Values{"type": {kind}, "rooms": rooms}}, &positions)
	return positions, err
}

// Packet is what a client sent to the back end. BodyHex stands for a Body that is no text.
type Packet struct {
	ID      string `json:"id"`
	Key     string `json:"key"`
	Mid     int64  `json:"mid"`
	User    string `json:"user"`
	Op      int32  `json:"op"`
	Body    string `json:"body"`
	BodyHex string `json:"body_hex"`
}

// Upstream hands each packet behind the id `after` ("0": all) to take, until take returns an error or the context ends. take
// acknowledges a packet by keeping its ID before it returns nil; after a crash go on with the one that was kept.
func (c *Client) Upstream(ctx context.Context, after string, take func(Packet) error) error {
	const wait = 30 * time.Second
	for {
		var packets []Packet
		params := url.Values{"after": {after}, "wait": {strconv.FormatInt(wait.Milliseconds(), 10)}}
		if err := c.data(ctx, request{method: "GET", path: "/goim/upstream", params: params, waitMore: wait}, &packets); err != nil {
			return err
		}
		for _, packet := range packets {
			if err := take(packet); err != nil {
				return err
			}
			after = packet.ID
		}
	}
}

// ---- calls

type request struct {
	method, path    string
	params          url.Values
	body            []byte
	name            string // for Idempotency-Key
	isSafe, isLines bool   // it may be done twice; its answer is lines
	waitMore        time.Duration
}

type told struct {
	body    []byte
	headers http.Header
}

func (c *Client) data(ctx context.Context, r request, out interface{}) error {
	r.isSafe = true
	answer, err := c.call(ctx, r)
	if err != nil {
		return err
	}
	return json.Unmarshal(answer.body, &struct{ Data interface{} }{out})
}

func (c *Client) call(ctx context.Context, r request) (told, error) {
	pause := c.Pause
	for try := 1; ; try++ {
		answer, err := c.try(ctx, r)
		var fault *Error
		if err == nil || !errors.As(err, &fault) || try >= c.Tries || !fault.again || !(r.isSafe || fault.untaken) {
			return answer, err
		}
		rest := fault.after
		if rest > 10*time.Second {
			rest = 10 * time.Second
		}
		if rest < pause {
			rest = pause
		}
		select {
		case <-ctx.Done():
			return told{}, ctx.Err()
		case <-time.After(rest):
		}
		pause *= 2
	}
}

func (c *Client) try(ctx context.Context, r request) (told, error) {
	inTime, cancel := context.WithTimeout(ctx, c.Timeout+r.waitMore)
	defer cancel()
	question, err := http.NewRequestWithContext(inTime, r.method, c.URL+r.path+"?"+r.params.Encode(), bytes.NewReader(r.body))
	if err != nil {
		return told{}, err
	}
	if len(r.params) == 0 {
		question.URL.RawQuery = ""
	}
	question.GetBody = nil // no second try of Go's own: what may be done twice is decided here
	if c.APIKey != "" {
		question.Header.Set("X-Api-Key", c.APIKey)
	}
	if r.name != "" {
		question.Header.Set("Idempotency-Key", r.name)
	}
	response, err := c.HTTP.Do(question)
	if err != nil {
		if ctx.Err() != nil {
			return told{}, ctx.Err()
		}
		var dialing *net.OpError
		return told{}, &Error{Words: "no answer: " + err.Error(), again: true, untaken: errors.As(err, &dialing) && dialing.Op == "dial"}
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return told{}, &Error{Words: "no whole answer: " + err.Error(), again: true}
	}
	return told{text, response.Header}, judge(response, text, r.isLines)
}

func judge(response *http.Response, text []byte, isLines bool) error {
	var answer struct {
		Code    *int
		Message string
	}
	if response.StatusCode == 200 && isLines {
		return nil
	}
	if json.Unmarshal(text, &answer) != nil || answer.Code == nil {
		return &Error{Code: -response.StatusCode, Words: "the answer is none of Comet's: " + strings.TrimSpace(string(text))}
	}
	switch code := *answer.Code; code {
	case 0:
		return nil
	case -429, -503:
		seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
		return &Error{Code: code, Words: answer.Message, again: true, untaken: true, after: time.Duration(seconds) * time.Second}
	default:
		return &Error{Code: code, Words: answer.Message, again: code == -500}
	}
}
