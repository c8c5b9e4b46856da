# Speaks a recording into a picture: sh speak_http.sh http://127.0.0.1:8080 hello.wav
set -eu
door=$1
head=$(curl -fsS -D - -o /dev/null "$door/v1/jobs" -H 'Content-Type: audio/wav' --data-binary "@$2")
job=$(printf %s "$head" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
curl -fsSN "$door$job/events" | sed -n 's/^event: //p'   # until the job has ended
curl -fsS "$door$job/transcript.txt"
curl -fsS "$door$job/pictures/0" -o picture-0.png
