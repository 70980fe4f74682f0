// Package bounded opens files that somebody else may have made, so that none of them takes more than it may: no device that
// never ends, no pipe that nobody writes to, no more bytes than its kind has.
package bounded

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/onnx-compress/onnx-compress/internal/size"
)

// ReadFile returns the bytes of a regular file, at most so many of them: one that has more is an error, and read no further.
func ReadFile(path string, most int64) ([]byte, error) {
	f, info, err := Open(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > most {
		return nil, errors.Join(tooLarge(path, most), f.Close())
	}
	data, err := io.ReadAll(Reader(f, path, most))
	return data, errors.Join(err, f.Close())
}

// Reader reads from r, and fails instead of passing on more than so many bytes. name is that of the file, for the error.
func Reader(r io.Reader, name string, most int64) io.Reader { return &reader{r, name, most, most} }

type reader struct {
	r          io.Reader
	name       string
	left, most int64
}

func (r *reader) Read(b []byte) (int, error) {
	if int64(len(b)) > r.left+1 {
		b = b[:r.left+1]
	}
	n, err := r.r.Read(b)
	if r.left -= int64(n); r.left < 0 {
		return 0, tooLarge(r.name, r.most)
	}
	return n, err
}

func tooLarge(name string, most int64) error {
	return fmt.Errorf("%s has more than %s, the most that is read of a file of this kind", name, Text(most))
}

// Open opens a regular file, reached by links or not. Anything else is an error.
func Open(path string) (*os.File, fs.FileInfo, error) {
	info, err := os.Stat(path) // before it is opened: that may wait for whoever writes to a pipe
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		failed.Op = "open"
	}
	if err != nil {
		return nil, nil, err
	}
	if err := Regular(path, info); err != nil {
		return nil, nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	if info, err = f.Stat(); err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

// Regular refuses what is no regular file.
func Regular(path string, info fs.FileInfo) error {
	if info.Mode().IsRegular() {
		return nil
	}
	return fmt.Errorf("%s is not a regular file but %s; save its content to one first", path, kind(info.Mode()))
}

func kind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a folder"
	case m&fs.ModeDevice != 0:
		return "a device"
	case m&fs.ModeNamedPipe != 0:
		return "a pipe"
	}
	return "something else"
}

// Text writes a number of bytes in the largest binary unit that it has one of.
func Text(n int64) string {
	return size.Scaled(float64(n), 1024, []string{"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"})
}

// Packed refuses data that somebody has packed so densely as no samples are: an archive of kilobytes may unpack to
// gigabytes of one number. Whatever unpacks to no more than 256 MiB is fine.
func Packed(packed, unpacked int64) error {
	const plenty, ratio = 256 << 20, 200
	if unpacked <= plenty || unpacked/ratio <= packed {
		return nil
	}
	return fmt.Errorf("it unpacks from %s to %s, over %d times as much and so hardly samples; at most %s are unpacked in this way", Text(packed), Text(unpacked), ratio, Text(plenty))
}
