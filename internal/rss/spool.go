package rss

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"unsafe"

	"github.com/edsrzf/mmap-go"

	"github.com/onnx-compress/onnx-compress/internal/atomicfile"
)

// Spool is a temporary file for bytes and numbers that are made long before they are read. What is kept there is read through a map of
// the file, and takes memory only while it is. Its methods may be called from several goroutines.
type Spool struct {
	mu     sync.Mutex
	folder *atomicfile.Folder
	file   *os.File
	end    int64
	maps   []mmap.MMap
	starts []int64 // where each map begins in the file
	room   []byte  // of the last map, what nothing lies in yet; the file has it from end on
	shed   *Shedder
}

// NewSpool makes an empty spool, whose maps leave memory when more than limit bytes of the process are there. The caller closes it.
func NewSpool(limit int64) (*Spool, error) {
	s := &Spool{}
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
	kept, at, err := s.take(len(b))
	s.mu.Unlock()
	if err == nil {
		_, err = s.file.WriteAt(b, at)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.file.Name(), err)
	}
	return kept, nil
}

// take makes room for so many bytes, and says where they lie in the file.
func (s *Spool) take(size int) (room []byte, at int64, err error) {
	if size > len(s.room) {
		if err := s.extend(size); err != nil {
			return nil, 0, err
		}
	}
	room, at = s.room[:size:size], s.end
	took := min((size+aligned-1)/aligned*aligned, len(s.room))
	s.room, s.end = s.room[took:], s.end+int64(took)
	return room, at, nil
}

// extend makes the file longer, and maps what has come, with room for so many bytes.
func (s *Spool) extend(size int) error {
	at := (s.end + int64(len(s.room)) + place - 1) / place * place
	size = max(size, segment)
	if err := s.file.Truncate(at + int64(size)); err != nil {
		return err
	}
	m, err := mmap.MapRegion(s.file, size, mmap.RDONLY, 0, at)
	if err != nil {
		return err
	}
	s.maps, s.starts, s.room, s.end = append(s.maps, m), append(s.starts, at), m, at
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

// Rows is Floats for the numbers of several lists, one behind the other. Where free gives a place for so many, which Rows returned before and
// which nobody reads meanwhile, they go there; free may be nil.
func (s *Spool) Rows(rows [][]float64, free func(count int) []float64) (kept []float64, err error) {
	count := 0
	for _, r := range rows {
		count += len(r)
	}
	if count == 0 {
		return nil, nil
	}
	if free != nil {
		kept = free(count)
	}
	at := int64(0)
	s.mu.Lock()
	if kept == nil {
		var room []byte
		if room, at, err = s.take(8 * count); err == nil {
			kept = unsafe.Slice((*float64)(unsafe.Pointer(unsafe.SliceData(room))), count)
		}
	} else {
		at = s.offset(kept)
	}
	s.mu.Unlock()
	if err == nil {
		err = s.write(rows, at)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.file.Name(), err)
	}
	return kept, nil
}

// Fill reads what Rows kept into lists of the same lengths, which costs less than reading it through the map where it is read once.
func (s *Spool) Fill(rows [][]float64, kept []float64) error {
	if len(kept) == 0 {
		return nil
	}
	s.mu.Lock()
	at := s.offset(kept)
	s.mu.Unlock()
	from := bufio.NewReaderSize(io.NewSectionReader(s.file, at, 8*int64(len(kept))), pieces)
	for _, r := range rows {
		if _, err := io.ReadFull(from, unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(r))), 8*len(r))); err != nil {
			return fmt.Errorf("%s: %w", s.file.Name(), err)
		}
	}
	return nil
}

// offset is where numbers of the spool lie in its file.
func (s *Spool) offset(kept []float64) int64 {
	begin := uintptr(unsafe.Pointer(unsafe.SliceData(kept)))
	for i, m := range s.maps {
		if first := uintptr(unsafe.Pointer(unsafe.SliceData(m))); begin >= first && begin < first+uintptr(len(m)) {
			return s.starts[i] + int64(begin-first)
		}
	}
	panic("rss: numbers that do not lie in the spool")
}

// pieces is how many bytes of short lists are written at a time.
const pieces = 1 << 18

func (s *Spool) write(rows [][]float64, at int64) error {
	w := bufio.NewWriterSize(io.NewOffsetWriter(s.file, at), pieces)
	for _, r := range rows {
		if _, err := w.Write(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(r))), 8*len(r))); err != nil {
			return err
		}
	}
	return w.Flush()
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
