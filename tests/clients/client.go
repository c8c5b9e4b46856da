// One job and its events, from Go: go run client.go NATS_URL JOB
//
// Debian: apt-get install golang-go golang-github-nats-io-go-nats-dev, then GO111MODULE=off and
// GOPATH=/usr/share/gocode. Publishes a job on JetStream and follows it to its end; one line for
// each promise.
package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Other clients use the same workers at the same time.
const patience = 180 * time.Second

var broken = false

func say(what string, ok bool, detail interface{}) {
	verdict := "PASS"
	if !ok {
		verdict, broken = "FAIL", true
	}
	fmt.Printf("%s  nats.go: %s  %v\n", verdict, what, detail)
}

func must(err error) {
	if err != nil {
		say("no call fails", false, err)
		os.Exit(1)
	}
}

// The kinds of a job's events, without progress, up to its end.
func follow(events *nats.Subscription) (told []string) {
	for {
		message, err := events.NextMsg(patience)
		must(err)
		kind := message.Subject[strings.LastIndex(message.Subject, ".")+1:]
		if kind != "progress" {
			told = append(told, kind)
		}
		switch kind {
		case "done", "failed", "canceled", "no-speech":
			return told
		}
	}
}

func job(nc *nats.Conn, what, name string, message *nats.Msg) {
	js, err := nc.JetStream()
	must(err)
	events, err := nc.SubscribeSync("shanshui.events." + name + ".>")
	must(err)
	must(nc.Flush())
	ack, err := js.PublishMsg(message, nats.MsgId(name))
	must(err)
	again, err := js.PublishMsg(message, nats.MsgId(name))
	must(err)
	told := follow(events)
	say(what, ack.Stream == "TEXT" && told[len(told)-1] == "done", told)
	say("its second publication is a duplicate", again.Duplicate && again.Sequence == ack.Sequence, again.Sequence)
}

func main() {
	nc, err := nats.Connect(os.Args[1])
	must(err)
	defer nc.Close()
	const subject = "shanshui.text.default"
	name := os.Args[2] + "-raw"
	message := nats.NewMsg(subject)
	message.Header.Set("Shanshui-Job", name)
	message.Data = []byte("a red apple")
	job(nc, "raw text, the name in the header", name, message)
	name = os.Args[2] + "-json"
	message = nats.NewMsg(subject)
	message.Data = []byte(fmt.Sprintf(`{"id": %q, "text": "a red apple", "picture": {"count": 1, "steps": 1}}`, name))
	job(nc, "JSON, the name in the payload", name, message)
	if broken {
		os.Exit(1)
	}
}
