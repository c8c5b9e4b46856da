// Speaks a recording into a picture: go run speak_http.go http://127.0.0.1:8080 hello.wav
package main

import (
	"io"
	"net/http"
	"os"
)

func main() {
	sound, _ := os.Open(os.Args[2])
	sent, err := http.Post(os.Args[1]+"/v1/jobs", "audio/wav", sound)
	if err != nil {
		panic(err)
	}
	if sent.StatusCode != 202 {
		panic(sent.Status)
	}
	job := os.Args[1] + sent.Header.Get("Location")
	save(job+"/events", os.Stdout) // until the job has ended
	save(job+"/transcript.txt", os.Stdout)
	file, _ := os.Create("picture-0.png")
	save(job+"/pictures/0", file)
}

func save(address string, file *os.File) {
	if answer, err := http.Get(address); err == nil && answer.StatusCode == 200 {
		io.Copy(file, answer.Body)
	}
}
