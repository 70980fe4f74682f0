package compress

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// partFile is the file of a part, read up to an offset.
type partFile struct {
	path string
	from *os.File
	head partHead
	// notes are of a part of a calibration.
	notes partNotes
	at    int64
	size  int64
}

// partKind is what parts are of.
type partKind struct{ magic, of, make string }

func calibrations() partKind { return partKind{partMagic, "calibration", "calibrate"} }
func factorings() partKind   { return partKind{offersMagic, "factoring", "factor"} }

// openParts opens the files of all parts, named in any order, in theirs. A *UsageError names parts that are missing, there twice, or not of
// the same work. The caller closes what is returned, with an error too.
func openParts(paths []string, kind partKind) (parts []*partFile, err error) {
	for _, name := range paths {
		p, err := openPart(name, kind)
		if err != nil {
			return parts, fmt.Errorf("%s: %w", name, err)
		}
		parts = append(parts, p)
	}
	if err := complete(parts, kind); err != nil {
		return parts, &UsageError{Err: err}
	}
	slices.SortFunc(parts, func(a, b *partFile) int { return cmp.Compare(a.head.Part.Index, b.head.Part.Index) })
	return parts, nil
}

func closeParts(parts []*partFile) error {
	var err error
	for _, p := range parts {
		err = errors.Join(err, p.from.Close())
	}
	return err
}

func openPart(path string, kind partKind) (*partFile, error) {
	f, info, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	p := &partFile{path: path, from: f, size: info.Size()}
	if p.head, p.at, err = readPartHead(f, kind); err == nil && kind.magic == partMagic {
		if p.notes, p.at, err = readNotes(f, p.at, p.size, p.head.Samples); err != nil {
			err = fmt.Errorf("%w; remove it, and calibrate part %s anew", err, p.head.Part)
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return p, nil
}

// readPartHead reads what a file of a part says of itself, and where the sums begin.
func readPartHead(f io.ReaderAt, kind partKind) (h partHead, end int64, err error) {
	magic := make([]byte, len(kind.magic)+4)
	n, err := f.ReadAt(magic, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return h, 0, err
	}
	version := len(kind.magic) - 1
	again := fmt.Sprintf("remove it, and %s that part anew", kind.make)
	switch {
	case n < version || string(magic[:version]) != kind.magic[:version]:
		return h, 0, &UsageError{Err: fmt.Errorf("this is no part of a %s, as `onnx-compress shard %s` writes them", kind.of, kind.make)}
	case n < len(magic):
		return h, 0, fmt.Errorf("the file is damaged: it ends before it says what part it is; %s", again)
	case magic[version] != kind.magic[version]:
		return h, 0, &UsageError{Err: fmt.Errorf("it is of version %d of the format, and this program reads version %d; %s all parts with one version of the program", magic[version], kind.magic[version], kind.make)}
	}
	size := binary.LittleEndian.Uint32(magic[len(kind.magic):])
	text := make([]byte, min(size, maxKey))
	if n, _ := f.ReadAt(text, int64(len(magic))); n < len(text) || size > maxKey {
		return h, 0, fmt.Errorf("the file is damaged: it ends before it says what part it is; %s", again)
	}
	if err := json.Unmarshal(text, &h); err != nil {
		return h, 0, fmt.Errorf("the file is damaged (%w); %s", err, again)
	}
	if p := h.Part; p.Of < 1 || p.Index < 1 || p.Index > p.Of || h.Groups < 0 || h.Samples < 0 {
		return h, 0, fmt.Errorf("the file is damaged: it is part %s, of %d samples and %d groups; %s", p, h.Samples, h.Groups, again)
	}
	return h, int64(len(magic) + len(text)), nil
}

// complete wants every part of one work, once.
func complete(parts []*partFile, kind partKind) error {
	if len(parts) == 0 {
		return fmt.Errorf("which parts? name the files that `onnx-compress shard %s` wrote", kind.make)
	}
	first := parts[0]
	at := map[int]*partFile{}
	for _, p := range parts {
		if why := p.head.Key.differs(first.head.Key); why != "" {
			return fmt.Errorf("%s is not of the same %s as %s: %s", p.path, kind.of, first.path, why)
		}
		if p.head.Part.Of != first.head.Part.Of || p.head.Groups != first.head.Groups || p.head.Samples != first.head.Samples {
			return fmt.Errorf("%s is part %s, and %s is part %s: want parts of one number", p.path, p.head.Part, first.path, first.head.Part)
		}
		if other := at[p.head.Part.Index]; other != nil {
			return fmt.Errorf("%s and %s are both part %s; name one of them", other.path, p.path, p.head.Part)
		}
		at[p.head.Part.Index] = p
	}
	var missing []string
	for i := 1; i <= first.head.Part.Of && len(missing) < 10; i++ {
		if at[i] == nil {
			missing = append(missing, ShardPart{i, first.head.Part.Of}.String())
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("of the parts, %d of %d are there; missing: %s", len(parts), first.head.Part.Of, strings.Join(missing, ", "))
	}
	return nil
}
