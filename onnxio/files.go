package onnxio

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"unsafe"

	"github.com/edsrzf/mmap-go"

	"github.com/onnx-compress/onnx-compress/internal/rss"
)

// files is what a family of derived models has open: the map of the model's own file and
// those of its external data. The last model to let go unmaps them.
type files struct {
	mu       sync.Mutex
	models   int
	path     string      // that the model's own file was read from, "" for none
	info     os.FileInfo // of that file, from before it was read
	own      mmap.MMap
	external map[string]*externalFile
}

// externalFile is a file of external data, looked at once and mapped when first read.
type externalFile struct {
	info   os.FileInfo
	data   mmap.MMap
	mapped bool
}

func newFiles(own mmap.MMap) *files {
	return &files{models: 1, own: own, external: map[string]*externalFile{}}
}

func (f *files) retain() *files {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.models++
	return f
}

func (f *files) release() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.models--
	if f.models > 0 {
		return nil
	}
	var errs []error
	if f.own != nil {
		errs = append(errs, f.own.Unmap())
	}
	for _, e := range f.external {
		if e.data != nil {
			errs = append(errs, e.data.Unmap())
		}
	}
	clear(f.external)
	return errors.Join(errs...)
}

// stat returns what is known of the external file at a location inside folder.
func (f *files) stat(folder, location string) (os.FileInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, err := f.look(folder, location)
	if err != nil {
		return nil, err
	}
	return e.info, nil
}

// read returns the mapped bytes of the external file at a location inside folder.
func (f *files) read(folder, location string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.models == 0 {
		return nil, errors.New("the model is closed")
	}
	e, err := f.look(folder, location)
	if err != nil {
		return nil, err
	}
	if !e.mapped {
		file, err := os.OpenInRoot(folder, filepath.FromSlash(location))
		if err != nil {
			return nil, fmt.Errorf("external data: %w", err)
		}
		e.data, err = mapOpen(file)
		if err != nil {
			return nil, fmt.Errorf("external data: %w", err)
		}
		e.mapped = true
	}
	return e.data, nil
}

// forget gives back the memory of bytes that are part of the map of the model's own file.
func (f *files) forget(b []byte) {
	if _, mapped := f.offset(b); mapped {
		rss.Forget(b)
	}
}

// offset returns where in the model's own file bytes of its map lie.
func (f *files) offset(b []byte) (int64, bool) {
	if len(b) == 0 || len(f.own) == 0 {
		return 0, false
	}
	at := uintptr(unsafe.Pointer(unsafe.SliceData(b))) - uintptr(unsafe.Pointer(unsafe.SliceData(f.own)))
	return int64(at), at < uintptr(len(f.own)) && uintptr(len(b)) <= uintptr(len(f.own))-at
}

// look finds an external file, following symbolic links only while they stay inside
// the folder. f.mu must be held.
func (f *files) look(folder, location string) (*externalFile, error) {
	if e, ok := f.external[location]; ok {
		return e, nil
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("external data: %w", err)
	}
	defer root.Close()
	info, err := root.Stat(filepath.FromSlash(location))
	if err != nil {
		return nil, unreachable(folder, location, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("external data %s in folder %s is not a regular file", location, folder)
	}
	e := &externalFile{info: info}
	f.external[location] = e
	return e, nil
}

// infos returns every external file looked at so far.
func (f *files) infos() []os.FileInfo {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []os.FileInfo
	for _, e := range f.external {
		out = append(out, e.info)
	}
	return out
}

// mapFile maps the model file at path for reading.
func mapFile(path string) (mmap.MMap, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	switch {
	case info.IsDir():
		return nil, fmt.Errorf("%s is a folder, not a model file%s", path, modelIn(path))
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file; save the model to one first", path)
	case info.Size() == 0:
		return nil, fmt.Errorf("%s is empty; copy or download it again", path)
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%s has %d bytes, over the 2 GiB that a model file may have; larger models keep their weights in external data", path, info.Size())
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return mapOpen(file)
}

// modelIn names a model file in a folder, where there is one.
func modelIn(folder string) string {
	entries, _ := os.ReadDir(folder) // without it there is nothing to suggest
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".onnx" {
			return "; name one in it, such as " + filepath.Join(folder, e.Name())
		}
	}
	return ""
}

// mapOpen maps an open file for reading and closes it. An empty file gives no bytes.
func mapOpen(file *os.File) (mmap.MMap, error) {
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() == 0 {
		return nil, nil
	}
	data, err := mmap.Map(file, mmap.RDONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("mapping %s: %w", file.Name(), err)
	}
	return data, nil
}
