package provenance

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
)

// DataDigest returns the SHA-256 of the calibration samples at path in hex: that of the
// file, or for a folder, of a list of the files that samples are read from, each with its
// name and its own SHA-256, or the word unreadable. Where the samples lie makes no difference.
func DataDigest(ctx context.Context, path string) (string, error) {
	files, err := samples.Files(path)
	if err != nil {
		return "", err
	}
	sums := make([]string, len(files))
	errs := make([]error, len(files))
	eachOf(files, func(i int, name string) {
		sums[i], errs[i] = hashFile(ctx, filepath.Join(path, filepath.FromSlash(name)))
		if name != "." && ctx.Err() == nil && errs[i] != nil { // one of many that can do without it
			sums[i], errs[i] = "unreadable", nil
		}
	})
	if err := errors.Join(errs...); err != nil {
		return "", err
	}
	if len(files) == 1 && files[0] == "." {
		return sums[0], nil
	}
	list := sha256.New()
	for i, name := range files {
		fmt.Fprintf(list, "%q %s\n", name, sums[i])
	}
	return hex.EncodeToString(list.Sum(nil)), nil
}

// eachOf does something with all of a list, several at a time.
func eachOf(list []string, do func(i int, v string)) {
	var wait sync.WaitGroup
	free := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, v := range list {
		free <- struct{}{}
		wait.Go(func() {
			do(i, v)
			<-free
		})
	}
	wait.Wait()
}

// hashFile is the SHA-256 of one file.
func hashFile(ctx context.Context, path string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		return "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// digests computes each digest once, for any number of models that share a source or
// samples. Several goroutines may use it.
type digests struct {
	mu    sync.Mutex
	known map[string]func() (string, error)
}

func (d *digests) of(kind, path string, compute func() (string, error)) (string, error) {
	d.mu.Lock()
	key := kind + " " + path
	f, ok := d.known[key]
	if !ok {
		f = sync.OnceValues(compute)
		d.known[key] = f
	}
	d.mu.Unlock()
	return f()
}

func (d *digests) source(ctx context.Context, path string) (string, error) {
	return d.of("source", path, func() (string, error) { return onnxio.Digest(ctx, path) })
}

func (d *digests) data(ctx context.Context, path string) (string, error) {
	return d.of("data", path, func() (string, error) { return DataDigest(ctx, path) })
}
