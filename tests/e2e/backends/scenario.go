// The scenario of test_comet_api.py, with examples/go/comet.go. SPDX-License-Identifier: MIT
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"comet"
)

var enough = errors.New("enough")

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func code(err error) int {
	var fault *comet.Error
	if !errors.As(err, &fault) {
		log.Fatal("no fault of the API: ", err)
	}
	return fault.Code
}

func pushRoom(c *comet.Client, body string, options *comet.RoomOptions) int64 {
	position, err := c.PushRoom(context.Background(), 1000, []byte(body), "chat", "1", options)
	must(err)
	return position
}

func main() {
	ctx := context.Background()
	url, flaky, nobody, key := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	c := comet.New(url, key)
	must(c.PushUsers(ctx, 1000, []byte("to users"), "7", "ann"))
	must(c.PushKeys(ctx, 1000, []byte("to keys"), "a,b", "nobody"))
	first := pushRoom(c, "to room", nil)
	once, again := pushRoom(c, "once", &comet.RoomOptions{Name: "name"}), pushRoom(c, "once", &comet.RoomOptions{Name: "name"})
	if pushRoom(c, "unkept", &comet.RoomOptions{Unkept: true}) != 0 {
		log.Fatal("a push that is not kept has a number")
	}
	fmt.Println("numbers", once-first, again-first, "None")
	must(c.PushAll(ctx, 1000, []byte("to all"), 0))
	answers, err := c.Batch(ctx, []comet.Push{{Operation: 1000, Users: []string{"7"}, Body: "é\n1"}, {Operation: 6, Users: []string{"7"}},
		{Operation: 1000, Type: "chat", Room: "1", Body: "2"}, {Operation: 1000, All: true, Body: "3"}})
	must(err)
	fmt.Println("batch", answers[0].Code, answers[1].Code, answers[2].Code, answers[3].Code, answers[2].Position-first)
	positions, err := c.Positions(ctx, "chat", "1")
	must(err)
	fmt.Println("position", positions["chat://1"]-first)
	online, err := c.Online(ctx)
	must(err)
	counts, err := c.OnlineRooms(ctx, "chat", "1", "2")
	must(err)
	fmt.Printf("online %d {'1': %d, '2': %d}\n", online.Connections, counts["1"], counts["2"])
	kept, n := "0", 0
	err = c.Upstream(ctx, kept, func(p comet.Packet) error {
		fmt.Println("packet", p.Op, p.Body, p.Key)
		if n++; n == 2 {
			return enough
		}
		kept = p.ID
		return nil
	})
	if !errors.Is(err, enough) {
		log.Fatal(err)
	}
	_ = c.Upstream(ctx, kept, func(p comet.Packet) error {
		fmt.Println("again", p.Body)
		return enough
	})
	kicked, err := c.KickUsers(ctx, "7")
	must(err)
	fmt.Println("kicked", kicked)
	fmt.Println("fault", code(comet.New(url, "wrong").PushUsers(ctx, 1000, []byte("x"), "7")))
	lost := comet.New(nobody, "")
	lost.Tries, lost.Pause = 2, 10*time.Millisecond
	fmt.Println("fault", code(lost.PushUsers(ctx, 1000, []byte("x"), "7")))
	hurried := comet.New(flaky, "")
	hurried.Timeout, hurried.Pause = 500*time.Millisecond, 10*time.Millisecond
	fmt.Println("flaky", pushRoom(hurried, "x", nil))
	fmt.Println("fault", code(hurried.PushAll(ctx, 1000, []byte("x"), 0)))
	answers, err = hurried.Batch(ctx, []comet.Push{{Operation: 1000, Users: []string{"7"}, Body: "x"}})
	must(err)
	fmt.Println("late", answers[0].Code)
	must(hurried.PushKeys(ctx, 1000, []byte("x"), "k"))
	_, err = comet.New(flaky, "").Online(ctx) // is answered when the server has closed the connection
	must(err)
	must(hurried.PushKeys(ctx, 1000, []byte("x"), "k"))
	fmt.Println("twice")
}
