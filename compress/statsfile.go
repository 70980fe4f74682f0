package compress

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/atomicfile"
	"github.com/onnx-compress/onnx-compress/internal/bounded"
	"github.com/onnx-compress/onnx-compress/internal/calib"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// calibrationMagic starts a file of the statistics of a whole calibration. Behind
// it are how they came about, a byte, the length of the key in 4 bytes, little-endian, the key as JSON, the statistics of the sites,
// group by group, and the SHA-256 of all that.
const calibrationMagic = "onnx-compress.calibration\x02"

// How statistics came about.
const (
	collected = 0 // by a run, which may collect them anew
	merged    = 1 // from parts, which nobody wants to lose for a wrong option
)

// statsFile is a calibration on disk: being read where one with the right key was
// there, else being written. The nil statsFile is none.
type statsFile struct {
	path string
	in   *bufio.Reader // of from, when reading
	from *os.File
	body int64         // where statistics begin in it
	out  *bufio.Writer // to the file and its sum, when writing
	to   *atomicfile.File
	sum  hash.Hash
	size int64 // what was written of the file
	key  statsKey
}

// openStats opens the file that Options.Stats names.
func openStats(ctx context.Context, env *Environment, a *Analysis, o Options) (*statsFile, error) {
	path := o.Stats
	if path == "" {
		return nil, nil
	}
	key, err := o.keeper.known(), error(nil)
	if key == nil {
		if key, err = newStatsKey(ctx, env, a, o); err != nil {
			return nil, fmt.Errorf("statistics %s: %w", path, err)
		}
	}
	s, err := readStatsFile(ctx, path, key)
	if err != nil {
		return nil, fmt.Errorf("statistics %s: %w", path, err)
	}
	if s == nil {
		if s, err = writeSealed(path, statsHeadOf(collected, key)); err != nil {
			return nil, fmt.Errorf("statistics %s: %w", path, err)
		}
	}
	s.key = key
	return s, nil
}

// cached tells that the statistics are there already.
func (s *statsFile) cached() bool { return s != nil && s.in != nil }

// wanted refuses statistics that are not there, or of another calibration.
func (s *statsFile) wanted() error {
	if s.cached() {
		return nil
	}
	why := "they are not there"
	said, err := statsHeadAt(s.path)
	switch {
	case err == nil:
		why = said.key.differs(s.key)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("statistics %s: %w", s.path, err)
	}
	return &UsageError{Err: fmt.Errorf("statistics %s: %s; merge them from parts of the same options (`onnx-compress shard merge`)", s.path, why)}
}

// readStatsFile returns nil where there is no file, or one of another calibration.
func readStatsFile(ctx context.Context, path string, key statsKey) (*statsFile, error) {
	f, info, err := openRegular(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	head, err := statsHead(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if why := head.key.differs(key); why != "" {
		if err := f.Close(); err != nil || head.how == collected {
			return nil, err
		}
		return nil, &UsageError{Err: fmt.Errorf("they were merged for another calibration: %s; give the options that the parts had, or choose another file", why)}
	}
	if err := checkSealed(ctx, f, info.Size()); err != nil {
		return nil, errors.Join(fmt.Errorf("%w; remove it, so that they are collected anew", err), f.Close())
	}
	s := &statsFile{path: path, from: f, in: bufio.NewReaderSize(f, 1<<20), body: head.length}
	if err := s.again(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return s, nil
}

// again has the statistics read from the first on.
func (s *statsFile) again() error {
	_, err := s.from.Seek(s.body, io.SeekStart)
	s.in.Reset(s.from)
	return err
}

// statsHeading is what a file of statistics says of itself, in so many bytes.
type statsHeading struct {
	how    byte
	key    statsKey
	length int64
}

// statsHeadAt reads the heading of the file of that name.
func statsHeadAt(path string) (h statsHeading, err error) {
	f, _, err := openRegular(path)
	if err != nil {
		return h, err
	}
	h, err = statsHead(f)
	return h, errors.Join(err, f.Close())
}

// statsHead reads the heading of a file. One that ends before it does is damaged.
func statsHead(f io.ReaderAt) (statsHeading, error) {
	magic := make([]byte, len(calibrationMagic)+5)
	n, err := f.ReadAt(magic, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return statsHeading{}, err
	}
	version := len(calibrationMagic) - 1
	if n <= version || string(magic[:version]) != calibrationMagic[:version] {
		return statsHeading{}, &UsageError{Err: errors.New("this file is there, and holds no statistics; choose another name")}
	}
	if magic[version] != calibrationMagic[version] {
		return statsHeading{}, nil // of another version of the format, and so of no key that is known
	}
	h := statsHeading{how: magic[version+1]}
	size := binary.LittleEndian.Uint32(magic[version+2:])
	text := make([]byte, min(size, maxKey))
	if n, _ := f.ReadAt(text, int64(len(magic))); n < len(text) || size > maxKey {
		return h, errors.New("the file is damaged: it ends before its key does; remove it, so that they are collected anew")
	}
	h.length = int64(len(magic) + len(text))
	h.key, err = readStatsKey(text)
	return h, err
}

// openRegular opens a file; what is there and none, such as a folder or a pipe, is a *UsageError.
func openRegular(path string) (*os.File, fs.FileInfo, error) {
	if info, err := os.Stat(path); err == nil {
		if err := bounded.Regular(path, info); err != nil {
			return nil, nil, &UsageError{Err: err}
		}
	}
	return bounded.Open(path)
}

// checkSealed holds a file of that size against the SHA-256 at its end.
func checkSealed(ctx context.Context, f io.ReaderAt, size int64) error {
	h := sha256.New()
	last := make([]byte, h.Size())
	body := size - int64(h.Size())
	if body >= 0 {
		if _, err := io.Copy(h, reader{ctx, io.NewSectionReader(f, 0, body)}); err != nil {
			return err
		}
		if _, err := f.ReadAt(last, body); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	if body < 0 || !bytes.Equal(h.Sum(nil), last) {
		return errors.New("the file is damaged")
	}
	return nil
}

// statsHeadOf is what statsHead reads.
func statsHeadOf(how byte, key statsKey) []byte {
	text := key.text()
	return append(binary.LittleEndian.AppendUint32(append([]byte(calibrationMagic), how), uint32(len(text))), text...)
}

// writeSealed begins a file beside its place, which ends with the SHA-256 of all before.
func writeSealed(path string, head []byte) (*statsFile, error) {
	f, err := atomicfile.Create(path)
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	s := &statsFile{path: path, to: f, sum: sum, out: bufio.NewWriterSize(io.MultiWriter(f, sum), 1<<20)}
	n, err := s.out.Write(head)
	if err != nil {
		f.Discard()
		return nil, err
	}
	s.size = int64(n)
	return s, nil
}

// collect gives the statistics of the next group of sites, of that number: those of the file
// when one is read, else new ones, which are also written.
func (s *statsFile) collect(ctx context.Context, from *sweeping, st *stage, g int) ([]calib.Stats, error) {
	sites := from.a.group(from.a.Groups[g])
	if s.cached() {
		stats, err := s.read(ctx, sites)
		if err != nil {
			return nil, fmt.Errorf("statistics %s: %w", s.path, err)
		}
		return stats, nil
	}
	swept, numbers, err := from.group(ctx, g, st.told)
	if err != nil {
		return nil, err
	}
	stats, err := swept.Stats(numbers)
	if err != nil {
		return nil, err
	}
	if s != nil {
		if err := s.write(ctx, stats, sites); err != nil {
			return nil, fmt.Errorf("statistics %s: %w", s.path, err)
		}
	}
	return stats, nil
}

// write adds one group, and reads what came to the disk as a later run will: what that would refuse is not to replace
// an older file.
func (s *statsFile) write(ctx context.Context, stats []calib.Stats, sites []rewrite.Site) error {
	from := s.size
	for i := range stats {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := stats[i].WriteTo(s); err != nil {
			return err
		}
	}
	if err := s.out.Flush(); err != nil {
		return err
	}
	in := bufio.NewReaderSize(io.NewSectionReader(s.to, from, s.size-from), 1<<20)
	for _, site := range sites {
		if err := ctx.Err(); err != nil {
			return err
		}
		back, err := calib.ReadStats(in)
		if err == nil {
			err = fitStats(&back, &site)
		}
		if err != nil {
			return fmt.Errorf("those of site %q cannot be kept, as they would not be read again, so nothing is written there: %w", site.Name, err)
		}
	}
	return nil
}

// read reads one group.
func (s *statsFile) read(ctx context.Context, sites []rewrite.Site) ([]calib.Stats, error) {
	var out []calib.Stats
	var held []*linalg.Matrix
	var columns []linalg.Block32
	for i := range sites {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		stats, err := calib.ReadStats(s.in)
		if err == nil {
			err = fitStats(&stats, &sites[i])
		}
		if err != nil {
			return nil, err
		}
		// Sites that read the same columns share their moments, as they do when these
		// are collected; the memory limit counts on it.
		for g, a := range stats.A {
			i := slices.IndexFunc(held, func(b *linalg.Matrix) bool { return b.Rows == a.Rows && slices.Equal(b.Data, a.Data) })
			if i >= 0 {
				stats.A[g] = held[i]
			} else {
				held = append(held, a)
			}
		}
		if i := slices.IndexFunc(columns, func(b linalg.Block32) bool {
			return b.Cols == stats.Columns.Cols && slices.Equal(b.Data, stats.Columns.Data)
		}); i >= 0 {
			stats.Columns = columns[i]
		} else if stats.Columns.Rows > 0 {
			columns = append(columns, stats.Columns)
		}
		out = append(out, stats)
	}
	return out, nil
}

// Write adds to what is sealed.
func (s *statsFile) Write(b []byte) (int, error) {
	n, err := s.out.Write(b)
	s.size += int64(n)
	return n, err
}

// commit puts a file that was written whole in its place, if the disk has what it was given.
func (s *statsFile) commit(ctx context.Context) error {
	if s == nil || s.to == nil {
		return nil
	}
	err := s.seal(ctx)
	if err == nil {
		err = s.to.Commit()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	return nil
}

// seal adds the sum, and holds what lies on the disk against it.
func (s *statsFile) seal(ctx context.Context) error {
	if err := s.out.Flush(); err != nil {
		return err
	}
	n, err := s.to.Write(s.sum.Sum(nil))
	if err != nil {
		return err
	}
	if err := checkSealed(ctx, s.to, s.size+int64(n)); err != nil {
		return errors.Join(errors.New("what was written is not what is read back, so nothing is written there; look at the disk, or write elsewhere"), err)
	}
	return nil
}

// close releases the file, and removes what was not committed.
func (s *statsFile) close() error {
	switch {
	case s == nil:
		return nil
	case s.to != nil:
		s.to.Discard()
		return nil
	}
	return s.from.Close()
}
