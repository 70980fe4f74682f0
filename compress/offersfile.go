package compress

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// offersMagic starts a file of a part of a factoring. Behind it are the length of what follows in 4 bytes, little-endian, the key and the
// part as JSON; the length of what follows in 8 bytes, the findings as JSON, and the SHA-256 of all that; the factors; and the SHA-256 of
// all. So what needs no factors reads none.
const offersMagic = "onnx-compress.offers\x01"

// offersVersion is that of what findings hold and how they are found.
const offersVersion = 1

// maxFindings bounds the findings of a part as they are written.
const maxFindings = 1 << 30

// offersBody is what a part found.
type offersBody struct {
	Sites []*finding
	Axes  []*axisFinding
}

// offersFile is the file of a part of a factoring.
type offersFile struct {
	path  string
	from  *os.File
	begin int64 // of the factors
}

// offersKey is all that findings depend on, but for which methods are asked for: each is found whatever the others are.
func offersKey(stats *statsFile, o Options) (statsKey, error) {
	info, err := stats.from.Stat()
	if err != nil {
		return nil, err
	}
	sum := make([]byte, sha256.Size)
	if _, err := stats.from.ReadAt(sum, info.Size()-sha256.Size); err != nil {
		return nil, err
	}
	return append(slices.Clone(stats.key),
		keyFact{"statistics", hex.EncodeToString(sum)},
		keyFact{"version of the offers", fmt.Sprint(offersVersion)},
		keyFact{"effort", string(cmp.Or(o.Effort, decomp.Normal))}), nil
}

// write adds the findings of the sites and axes that the part has, in their order, and their factors.
func (f *findings) write(to *statsFile, a *Analysis, s *portion) error {
	body := offersBody{Sites: []*finding{}, Axes: []*axisFinding{}}
	var factors []decomp.Components
	var end int64
	for k := range a.Sites {
		at := f.sites[a.Sites[k].Name]
		if !s.has(k) || at == nil {
			continue
		}
		slices.SortFunc(at.Closed, func(x, y closedFinding) int { return strings.Compare(x.Method, y.Method) })
		slices.SortFunc(at.Ranks, func(x, y rankFinding) int {
			return cmp.Or(strings.Compare(x.Method, y.Method), slices.Compare(x.Rank, y.Rank))
		})
		for i := range at.Closed {
			c := &at.Closed[i]
			for _, g := range c.kept {
				sum := sha256.New()
				sum.Write(littleEndian(g.First.Data))
				sum.Write(littleEndian(g.Last.Data))
				c.Factors = append(c.Factors, factorBlock{end, g.First.Rows, hex.EncodeToString(sum.Sum(nil))})
				end += 8 * int64(len(g.First.Data)+len(g.Last.Data))
			}
			factors = append(factors, c.kept...)
		}
		body.Sites = append(body.Sites, at)
	}
	for i := range a.Axes {
		if x := f.axes[a.Axes[i].Name]; x != nil && s.hasAxis(i) {
			body.Axes = append(body.Axes, x)
		}
	}
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	if len(text) > maxFindings {
		return fmt.Errorf("what was found takes %d bytes, more than the %d that a part may have; take more parts", len(text), maxFindings)
	}
	if _, err := to.Write(append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)); err != nil {
		return err
	}
	if err := to.out.Flush(); err != nil {
		return err
	}
	if _, err := to.Write(to.sum.Sum(nil)); err != nil {
		return err
	}
	for _, g := range factors {
		for _, m := range []*linalg.Matrix{g.First, g.Last} {
			if _, err := to.Write(littleEndian(m.Data)); err != nil {
				return err
			}
		}
	}
	return nil
}

// readOffers reads the findings of a part, whose key and number were read, and holds them against their sum. The factors stay where they
// lie.
func readOffers(ctx context.Context, p *partFile) (body offersBody, factors int64, err error) {
	damaged := func(why string) error {
		return fmt.Errorf("the file is damaged: %s; remove it, and factor part %s anew", why, p.head.Part)
	}
	length := make([]byte, 8)
	if n, _ := p.from.ReadAt(length, p.at); n < len(length) {
		return body, 0, damaged("it ends before its findings")
	}
	size := int64(min(binary.LittleEndian.Uint64(length), maxFindings+1))
	if size > maxFindings || p.at+8+size+2*sha256.Size > p.size {
		return body, 0, damaged("it ends before its findings do")
	}
	text := make([]byte, size)
	if _, err := p.from.ReadAt(text, p.at+8); err != nil {
		return body, 0, err
	}
	sum, want := sha256.New(), make([]byte, sha256.Size)
	if _, err := io.Copy(sum, reader{ctx, io.NewSectionReader(p.from, 0, p.at+8)}); err != nil {
		return body, 0, err
	}
	sum.Write(text)
	if _, err := p.from.ReadAt(want, p.at+8+size); err != nil {
		return body, 0, err
	}
	if !bytes.Equal(sum.Sum(nil), want) {
		return body, 0, damaged("its findings are not those that were written")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&body); err != nil {
		return body, 0, damaged(err.Error())
	}
	return body, p.at + 8 + size + sha256.Size, nil
}

// factors reads what was kept of a method at a site, group by group.
func (f *offersFile) factors(c *closedFinding, k decomp.Shape) ([]decomp.Components, error) {
	var out []decomp.Components
	for g, b := range c.Factors {
		data := make([]byte, 8*b.Ranks*(k.Cols()+k.Rows()))
		if _, err := f.from.ReadAt(data, f.begin+b.Offset); err != nil {
			return nil, fmt.Errorf("group %d: %w; remove the file, and factor that part anew", g+1, err)
		}
		if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != b.SHA256 {
			return nil, fmt.Errorf("group %d: the file is damaged; remove it, and factor that part anew", g+1)
		}
		all := float64s(data)
		first := b.Ranks * k.Cols()
		out = append(out, decomp.Components{
			First: &linalg.Matrix{Rows: b.Ranks, Cols: k.Cols(), Data: all[:first:first]},
			Last:  &linalg.Matrix{Rows: b.Ranks, Cols: k.Rows(), Data: all[first:]},
		})
	}
	return out, nil
}

// openOffers reads what all parts found, which must be of the key that is wanted and of the sites and axes of a.
func openOffers(ctx context.Context, a *Analysis, paths []string, key statsKey) (_ *findings, err error) {
	parts, err := openParts(paths, factorings())
	defer func() {
		if err != nil {
			err = errors.Join(err, closeParts(parts))
		}
	}()
	if err != nil {
		return nil, err
	}
	if why := parts[0].head.Key.differs(key); why != "" {
		return nil, &UsageError{Err: fmt.Errorf("%s is a part of another factoring: %s; give the options that the parts had", parts[0].path, why)}
	}
	f := &findings{sites: map[string]*finding{}, axes: map[string]*axisFinding{}}
	for _, p := range parts {
		body, factors, err := readOffers(ctx, p)
		if err == nil {
			err = f.add(a, body, &offersFile{p.path, p.from, factors})
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.path, err)
		}
	}
	for i := range a.Sites {
		if name := a.Sites[i].Name; f.sites[name] == nil {
			return nil, fmt.Errorf("no part has found anything at node %q; factor all parts anew with one version of the program", name)
		}
	}
	return f, nil
}

// add takes in what a part found.
func (f *findings) add(a *Analysis, body offersBody, from *offersFile) error {
	f.files = append(f.files, from)
	for _, at := range body.Sites {
		i := -1
		if at != nil {
			i = slices.IndexFunc(a.Sites, func(s rewrite.Site) bool { return s.Name == at.Site })
		}
		if i < 0 || f.sites[at.Site] != nil {
			return errors.New("it has findings of nodes that it should not have; factor all parts anew")
		}
		if err := at.fits(&a.Sites[i]); err != nil {
			return err
		}
		at.from = from
		f.sites[at.Site] = at
	}
	for _, x := range body.Axes {
		i := -1
		if x != nil {
			i = slices.IndexFunc(a.Axes, func(axis rewrite.Axis) bool { return axis.Name == x.Axis })
		}
		if i < 0 || f.axes[x.Axis] != nil {
			return errors.New("it has findings of axes that it should not have; factor all parts anew")
		}
		if err := x.fits(&a.Axes[i]); err != nil {
			return err
		}
		f.axes[x.Axis] = x
	}
	return nil
}

// close closes the files. Nothing of the findings may be read after that.
func (f *findings) close() error {
	if f == nil {
		return nil
	}
	var err error
	for _, file := range f.files {
		err = errors.Join(err, file.from.Close())
	}
	return err
}
