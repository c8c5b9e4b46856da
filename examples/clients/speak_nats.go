// Publishes a recording and follows its events: go run speak_nats.go nats://127.0.0.1:4222 hello.wav
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"
)

func main() {
	client, _ := nats.Connect(os.Args[1])
	job := fmt.Sprintf("%x", nats.NewInbox()[7:])
	sound := &nats.Msg{Subject: "shanshui.audio.default", Header: nats.Header{"Shanshui-Job": {job}}}
	sound.Data, _ = os.ReadFile(os.Args[2])
	events, _ := client.SubscribeSync("shanshui.events." + job + ".*")
	queue, _ := client.JetStream()
	if _, err := queue.PublishMsg(sound); err != nil {
		panic(err)
	}
	for kind := ""; kind != "done" && kind != "failed" && kind != "canceled" && kind != "no-speech"; {
		message, _ := events.NextMsg(time.Minute)
		kind = message.Subject[len("shanshui.events."+job+"."):]
		fmt.Println(kind, string(message.Data))
	}
}
