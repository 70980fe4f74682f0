package compress

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/onnx-compress/onnx-compress/samples"
)

// partNotes are the sums of the samples that a part of a calibration read, by their places among those that calibrate. In a file they are their
// number in 4 bytes, little-endian, for each, as their places rise, its place in 4 bytes and its sum, and the SHA-256 of all before in the file.
type partNotes map[int]samples.Sum

// noteBytes is what one takes.
const noteBytes = 4 + len(samples.Sum{})

// notesOf are the notes of a source that others read of, of the samples numbered by indices.
func notesOf(read *samples.Noted, indices []int) partNotes {
	n := partNotes{}
	for place, i := range indices {
		if sum, ok := read.Sum(i); ok {
			n[place] = sum
		}
	}
	return n
}

// write adds them to a file.
func (n partNotes) write(to *statsFile) error {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(n)))
	for _, place := range slices.Sorted(maps.Keys(n)) {
		sum := n[place]
		b = append(binary.LittleEndian.AppendUint32(b, uint32(place)), sum[:]...)
	}
	if _, err := to.Write(b); err != nil {
		return err
	}
	if err := to.out.Flush(); err != nil {
		return err
	}
	_, err := to.Write(to.sum.Sum(nil))
	return err
}

// readNotes reads what write wrote from an offset on, in a file of so many bytes, of so many samples, and returns where it ends.
func readNotes(from io.ReaderAt, at, size int64, of int) (n partNotes, end int64, err error) {
	head := make([]byte, 4)
	if _, err := from.ReadAt(head, at); err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, err
	}
	count := int64(binary.LittleEndian.Uint32(head))
	end = at + 4 + count*int64(noteBytes) + sha256.Size
	if count > int64(of) || end > size {
		return nil, 0, errors.New("the file is damaged: it ends before it says which samples it has")
	}
	sum := sha256.New()
	all := make([]byte, end-at)
	if _, err := io.Copy(sum, io.NewSectionReader(from, 0, at)); err != nil {
		return nil, 0, err
	}
	if _, err := from.ReadAt(all, at); err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, err
	}
	body := all[:len(all)-sha256.Size]
	sum.Write(body)
	if !bytes.Equal(sum.Sum(nil), all[len(body):]) {
		return nil, 0, errors.New("the file is damaged: which samples it has is not what was written")
	}
	n = partNotes{}
	for one := range slices.Chunk(body[4:], noteBytes) {
		place := int(binary.LittleEndian.Uint32(one))
		if place >= of {
			return nil, 0, fmt.Errorf("the file is damaged: it has sample %d of %d", place+1, of)
		}
		n[place] = samples.Sum(one[4:])
	}
	return n, end, nil
}

// foundPart tells whether the file of a part is there, whole, and of samples that still are what they were.
func (o Options) foundPart(ctx context.Context, env *Environment, a *Analysis, head partHead, path string) (bool, error) {
	begin := head.bytes(partMagic)
	found, err := foundSealed(ctx, path, partMagic, begin)
	if err != nil || !found {
		return false, err
	}
	f, info, err := openRegular(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	was, _, err := readNotes(f, int64(len(begin)), info.Size(), head.Samples)
	if err != nil {
		return false, nil // another program's, to be replaced
	}
	var indices []int
	for place := range was {
		indices = append(indices, a.Calibrate[place])
	}
	now := samples.Note(o.Source)
	if _, err := samples.Digest(ctx, now, indices, env.Threads); err != nil {
		return false, err
	}
	return maps.Equal(was, notesOf(now, a.Calibrate)), nil
}

// readBy is the digest of all samples, as the parts of a calibration have read them. A *UsageError names parts that have read one otherwise.
func readBy(parts []*partFile) (string, error) {
	of, noted := parts[0].head.Samples, 0
	for _, p := range parts {
		noted += len(p.notes)
	}
	if noted < of {
		return "", fmt.Errorf("of the %d samples that calibrate, the parts have read %d; calibrate all parts anew with one version of the program", of, noted)
	}
	sums, by := make([]samples.Sum, of), make([]*partFile, of)
	for _, p := range parts {
		for _, place := range slices.Sorted(maps.Keys(p.notes)) {
			sum := p.notes[place]
			if other := by[place]; other != nil && sums[place] != sum {
				return "", &UsageError{Err: fmt.Errorf("%s is not of the same samples as %s: sample %d of the %d that calibrate is another, or prepared otherwise; calibrate both parts anew on the same samples", p.path, other.path, place+1, of)}
			}
			sums[place], by[place] = sum, p
		}
	}
	if place := slices.Index(by, nil); place >= 0 {
		return "", fmt.Errorf("no part has read sample %d of the %d that calibrate; calibrate all parts anew with one version of the program", place+1, of)
	}
	return samples.DigestOf(sums), nil
}
