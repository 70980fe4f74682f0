package compress

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/internal/calib"
)

// MergeParts makes of the files of all parts, in any order, the statistics that one run collects, and writes them to a file that
// Options.Stats may name. They do not depend on how many parts there are. Of the sums it holds those of one site at a time.
//
// A *UsageError names parts that are missing, there twice, or not of the same calibration.
func MergeParts(ctx context.Context, env *Environment, paths []string, path string) (done Sharded, err error) {
	var parts []*partFile
	defer func() {
		for _, p := range parts {
			err = errors.Join(err, p.from.Close())
		}
	}()
	for _, name := range paths {
		p, err := openPart(name)
		if err != nil {
			return done, fmt.Errorf("%s: %w", name, err)
		}
		parts = append(parts, p)
	}
	if err := complete(parts); err != nil {
		return done, &UsageError{Err: err}
	}
	slices.SortFunc(parts, func(a, b *partFile) int { return cmp.Compare(a.head.Part.Index, b.head.Part.Index) })
	head := statsHeadOf(merged, parts[0].head.Key)
	if done.Found, err = foundSealed(ctx, path, calibrationMagic, head); err != nil || done.Found {
		return done, err
	}
	to, err := writeSealed(path, head)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, to.close()) }()
	err = env.stage(ctx, "merge", func(st *stage) error {
		for i, p := range parts {
			if err := checkSealed(ctx, p.from, p.size); err != nil {
				return fmt.Errorf("%s: %w; remove it, and calibrate part %s anew", p.path, err, p.head.Part)
			}
			st.told("reading parts", i+1, len(parts))
		}
		for g := range parts[0].head.Groups {
			st.told("groups of nodes", g, parts[0].head.Groups)
			if err := mergeGroup(ctx, env, parts, to); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return done, err
	}
	return done, to.commit(ctx)
}

// partFile is the file of a part, read up to an offset.
type partFile struct {
	path string
	from *os.File
	head partHead
	at   int64
	size int64
}

func openPart(path string) (*partFile, error) {
	f, info, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	p := &partFile{path: path, from: f, size: info.Size()}
	if p.head, p.at, err = readPartHead(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return p, nil
}

// readPartHead reads what a file of a part says of itself, and where the sums begin.
func readPartHead(f io.ReaderAt) (h partHead, end int64, err error) {
	magic := make([]byte, len(partMagic)+4)
	n, err := f.ReadAt(magic, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return h, 0, err
	}
	version := len(partMagic) - 1
	switch {
	case n < version || string(magic[:version]) != partMagic[:version]:
		return h, 0, &UsageError{Err: errors.New("this is no part of a calibration, as `onnx-compress shard calibrate` writes them")}
	case n < len(magic):
		return h, 0, errors.New("the file is damaged: it ends before it says what part it is; remove it, and calibrate that part anew")
	case magic[version] != partMagic[version]:
		return h, 0, &UsageError{Err: fmt.Errorf("it is of version %d of the format, and this program reads version %d; calibrate all parts with one version of the program", magic[version], partMagic[version])}
	}
	size := binary.LittleEndian.Uint32(magic[len(partMagic):])
	text := make([]byte, min(size, maxKey))
	if n, _ := f.ReadAt(text, int64(len(magic))); n < len(text) || size > maxKey {
		return h, 0, errors.New("the file is damaged: it ends before it says what part it is; remove it, and calibrate that part anew")
	}
	if err := json.Unmarshal(text, &h); err != nil {
		return h, 0, fmt.Errorf("the file is damaged (%w); remove it, and calibrate that part anew", err)
	}
	if p := h.Part; p.Of < 1 || p.Index < 1 || p.Index > p.Of || h.Groups < 0 {
		return h, 0, fmt.Errorf("the file is damaged: it is part %s, of %d groups; remove it, and calibrate that part anew", p, h.Groups)
	}
	return h, int64(len(magic) + len(text)), nil
}

// complete wants every part of one calibration, once.
func complete(parts []*partFile) error {
	if len(parts) == 0 {
		return errors.New("which parts? name the files that `onnx-compress shard calibrate` wrote")
	}
	first := parts[0]
	at := map[int]*partFile{}
	for _, p := range parts {
		if why := p.head.Key.differs(first.head.Key); why != "" {
			return fmt.Errorf("%s is not of the same calibration as %s: %s", p.path, first.path, why)
		}
		if p.head.Part.Of != first.head.Part.Of || p.head.Groups != first.head.Groups {
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

// mergeGroup merges the sums of the next group of sites.
func mergeGroup(ctx context.Context, env *Environment, parts []*partFile, to io.Writer) error {
	var list []*calib.Sums
	for _, p := range parts {
		s, err := calib.ReadSums(p.from, p.at, p.size)
		if err != nil {
			return fmt.Errorf("%s: %w", p.path, err)
		}
		p.at = s.End
		list = append(list, s)
	}
	err := calib.Merge(ctx, list, env.Algebra, func(s calib.Stats) error {
		_, err := s.WriteTo(to)
		return err
	})
	if failed := (*calib.PartError)(nil); errors.As(err, &failed) {
		return fmt.Errorf("%s: %w", parts[failed.Part].path, failed.Err)
	}
	return err
}
