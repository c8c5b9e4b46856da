#!/bin/sh
# Makes the recordings of this folder anew from ../speech/apple.wav (and only there are ffmpeg,
# opusenc, flac and sox needed; the tests are not). Seconds 0.3 to 1.6 of it; where the
# format is wide, only the first 0.4 or 0.2 s of that.
set -eu
cd "$(dirname "$0")"
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
sox -D ../speech/apple.wav "$tmp/long.wav" trim 0.3 1.3
sox -D "$tmp/long.wav" "$tmp/short.wav" trim 0 0.4
sox -D "$tmp/long.wav" "$tmp/tiny.wav" trim 0 0.2
ff() { ffmpeg -v error -y -bitexact -i "$tmp/long.wav" "$@"; }
tiny() { ffmpeg -v error -y -bitexact -i "$tmp/tiny.wav" "$@"; }
short() { ffmpeg -v error -y -bitexact -i "$tmp/short.wav" "$@"; }

# Lossless, at 16 kHz: every width and byte order.
short -c:a pcm_s16le pcm16.wav
short -c:a pcm_u8 pcm8.wav
tiny -c:a pcm_s24le pcm24.wav
tiny -c:a pcm_s32le pcm32.wav
tiny -c:a pcm_f32le float32.wav
tiny -t 0.1 -c:a pcm_f64le float64.wav
short -c:a pcm_alaw alaw.wav
short -c:a pcm_mulaw mulaw.wav
short -c:a adpcm_ima_wav adpcm.wav
short -c:a flac mono.flac
short -c:a flac -f ogg flac.ogg
short -c:a alac alac.m4a
short -c:a pcm_s16be pcm16.aiff
short -c:a pcm_s16le pcm16.caf
short -c:a pcm_s16le -f wav - > pipe.wav

# Other rates and channel counts. The right channel is the left one, so the mean is the same.
short -ar 8000 rate8k.wav
tiny -ar 44100 -ac 2 -c:a flac stereo44k.flac
tiny -ar 96000 -c:a flac rate96k.flac
tiny -ar 22050 -c:a flac rate22k.flac
tiny -t 0.1 -af 'pan=5.1|FL=c0|FR=c0|FC=c0|LFE=c0|BL=c0|BR=c0' -c:a flac surround.flac

# Lossy.
ff -c:a libmp3lame -b:a 32k mono.mp3
ff -ar 44100 -ac 2 -c:a libmp3lame -b:a 96k stereo44k.mp3
ff -c:a libvorbis -q:a 3 mono.ogg
ff -ar 44100 -ac 2 -c:a libvorbis -q:a 3 stereo44k.ogg
ff -c:a aac -b:a 32k mono.m4a
ff -ar 44100 -ac 2 -c:a aac -b:a 96k stereo44k.m4a
ff -c:a aac -b:a 32k -movflags +faststart+frag_keyframe+empty_moov fragmented.m4a
ff -c:a aac -b:a 32k mono.aac
ff -c:a aac -b:a 32k aac.mkv

# Opus: the speech coder, both coders together, the music coder; long and short packets.
sox -D "$tmp/long.wav" -r 48000 "$tmp/wide.wav"
op() { opusenc --quiet --discard-comments --serial 1 "$@"; }
op --bitrate 10 "$tmp/wide.wav" opus-silk.ogg
op --bitrate 32 "$tmp/wide.wav" opus-hybrid.ogg
op --bitrate 64 --music --framesize 10 "$tmp/wide.wav" opus-celt.ogg
op --bitrate 16 --speech --framesize 60 "$tmp/wide.wav" opus-60ms.ogg
ff -ar 48000 -ac 2 -c:a libopus -b:a 48k opus-stereo.ogg
ff -ar 48000 -c:a libopus -b:a 16k -application voip -dtx 1 -frame_duration 20 opus-dtx.ogg
short -af 'pan=5.1|FL=c0|FR=c0|FC=c0|LFE=c0|BL=c0|BR=c0' -ar 48000 -c:a libopus -mapping_family 1 -b:a 128k opus-surround.ogg
ff -ar 48000 -c:a libopus -b:a 24k opus.webm
ff -ar 48000 -c:a libopus -b:a 24k opus.mkv
ff -ar 48000 -c:a libopus -b:a 24k opus.mp4

# A bomb: half an hour and a second of silence.
head -c 115264000 /dev/zero | flac --silent --lax --blocksize=65535 --force --force-raw-format --endian little \
  --sign signed --channels 1 --bps 16 --sample-rate 32000 -o bomb.flac -
