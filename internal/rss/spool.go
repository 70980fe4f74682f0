package rss

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"unsafe"

	"github.com/edsrzf/mmap-go"

	"github.com/onnx-compress/onnx-compress/internal/atomicfile"
)

// Spool is a temporary file for bytes and numbers that are made long before they are read, and for sums that are added to now and then.
// What is kept there lies in maps of the file, and takes memory only while somebody looks at it. Its methods may be called from
// several goroutines.
type Spool struct {
	mu      sync.Mutex
	folder  *atomicfile.Folder
	file    *os.File
	size    int64 // of the file
	maps    []mmap.MMap
	kept    room // read-only
	changed room // which may be written to
	shed    *Shedder
}

// room is what nothing lies in yet of the last map of its kind; the file has it from at on.
type room struct {
	protection int
	free       []byte
	at         int64
}

// NewSpool makes an empty spool, whose maps leave memory when more than limit bytes of the process are there. The caller closes it.
func NewSpool(limit int64) (*Spool, error) {
	s := &Spool{kept: room{protection: mmap.RDONLY}, changed: room{protection: mmap.RDWR}}
	var err error
	if s.folder, err = atomicfile.MakeFolder("", "onnx-compress"); err == nil {
		s.file, err = os.OpenFile(filepath.Join(s.folder.Path, "spool"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	}
	if err != nil {
		s.folder.Remove()
		return nil, fmt.Errorf("a file for what does not fit into memory: %w", err)
	}
	s.shed = Shed([]string{s.file.Name()}, limit)
	return s, nil
}

// place is what the beginnings of maps are multiples of on every system: Windows wants 64 KiB.
const place = 1 << 16

// segment is how much of the file a map covers at the least: systems bound the maps that a process may have, Linux to 65,530.
const segment = 16 << 20

// aligned is what kept bytes begin at multiples of, so that they can be numbers.
const aligned = 8

// Bytes writes b to the file and returns it as it lies there, read-only and valid until Close.
func (s *Spool) Bytes(b []byte) ([]byte, error) {
	if len(b) == 0 {
		return b, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	kept, err := s.keep(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.file.Name(), err)
	}
	return kept, nil
}

func (s *Spool) keep(b []byte) ([]byte, error) {
	kept, at, err := s.take(&s.kept, len(b))
	if err == nil {
		_, err = s.file.WriteAt(b, at)
	}
	return kept, err
}

// take returns so many bytes of a room, and where they lie in the file.
func (s *Spool) take(r *room, size int) (b []byte, at int64, err error) {
	if size > len(r.free) {
		if err := s.extend(r, size); err != nil {
			return nil, 0, err
		}
	}
	b, at = r.free[:size:size], r.at
	took := min((size+aligned-1)/aligned*aligned, len(r.free))
	r.free, r.at = r.free[took:], r.at+int64(took)
	return b, at, nil
}

// extend makes the file longer, and maps what has come, with room for so many bytes.
func (s *Spool) extend(r *room, size int) error {
	at := (s.size + place - 1) / place * place
	size = max(size, segment)
	var err error
	if r.protection == mmap.RDWR {
		err = reserve(s.file, at, int64(size))
	} else {
		err = s.file.Truncate(at + int64(size))
	}
	if err != nil {
		return err
	}
	s.size = at + int64(size)
	m, err := mmap.MapRegion(s.file, size, r.protection, 0, at)
	if err != nil {
		return err
	}
	s.maps, r.free, r.at = append(s.maps, m), m, at
	return nil
}

// Floats is Bytes for numbers.
func (s *Spool) Floats(v []float64) ([]float64, error) {
	kept, err := s.Bytes(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 8*len(v)))
	if err != nil || len(v) == 0 {
		return v, err
	}
	return unsafe.Slice((*float64)(unsafe.Pointer(unsafe.SliceData(kept))), len(v)), nil
}

// Zeros returns so many zeros that lie in the file, to be changed in their place; valid until Close.
func (s *Spool) Zeros(count int) ([]float64, error) {
	if count == 0 {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, _, err := s.take(&s.changed, 8*count)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.file.Name(), err)
	}
	return unsafe.Slice((*float64)(unsafe.Pointer(unsafe.SliceData(b))), count), nil
}

// Close removes the file. Nothing that was kept may be read any more.
func (s *Spool) Close() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shed.Stop()
	for _, m := range s.maps {
		if err := m.Unmap(); err != nil {
			return err
		}
	}
	s.maps = nil
	err := s.file.Close()
	s.folder.Remove()
	return err
}
