package tune

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/atomicfile"
	"github.com/onnx-compress/onnx-compress/internal/bounded"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// A checkpoint file is a line with the magic, a line of JSON with the state, vectors of float32 in little-endian
// order, and the SHA-256 of all that.
const (
	checkpointMagic = "onnx-compress/checkpoint/1\n"
	mostHeader      = 1 << 26
)

// state is what a checkpoint says beside the vectors.
type state struct {
	// Of tells what the tuning is of: another one cannot go on from here.
	Of    map[string]string `json:"of"`
	Size  int               `json:"size"`
	Step  int               `json:"step"`
	Best  int               `json:"best"`
	Sum   float64           `json:"sum"`
	End   End               `json:"end,omitempty"`
	Curve []Point           `json:"curve"`
	// Vectors are weights, first and second moments, average, best and the optimizer's bases: those of them that there are.
	Vectors []string `json:"vectors"`
}

// CheckpointError says that a checkpoint cannot be gone on from.
type CheckpointError struct {
	Path string
	Err  error
}

func (e *CheckpointError) Error() string {
	return fmt.Sprintf("checkpoint %s: %v; remove it, or name another one", e.Path, e.Err)
}

func (e *CheckpointError) Unwrap() error { return e.Err }

// vector is one of the state's.
type vector struct {
	name string
	at   *[]float32
	size int
}

// vectors are those of the state; those that there are not are nil.
func (t *trainer) vectors() []vector {
	size := t.params.size
	all := []vector{
		{"weights", &t.weights, size},
		{"first", &t.descent.first, size},
		{"second", &t.descent.second, size},
		{"average", &t.average.vector, size},
		{"best", &t.best, size},
	}
	if r := t.descent.rotations; r != nil {
		all = append(all, vector{"bases", &r.numbers, len(r.numbers)})
	}
	return all
}

// identity describes all that the outcome depends on.
func (t *trainer) identity() (map[string]string, error) {
	of := map[string]string{"runtime": t.host.Library.Version()}
	if t.o.Optimizer == SOAP {
		of["linear algebra"] = t.o.Backend.Name()
	}
	for _, m := range []struct {
		name  string
		model *onnxio.Model
	}{{"original model", t.original}, {"compressed model", t.compressed}} {
		data, err := m.model.Marshal()
		if err != nil {
			return nil, err
		}
		of[m.name] = digest(data)
	}
	of["start"] = digest(tensor.FromFloat32([]int{len(t.start)}, t.start).Data)
	of["samples"] = fmt.Sprintf("%s; %s", t.src.Describe(), digest(fmt.Append(nil, t.learn, t.held)))
	of["options"] = t.o.String()
	return of, nil
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// save writes the checkpoint, whole or not at all.
func (t *trainer) save() error {
	if t.o.Checkpoint == "" {
		return nil
	}
	if err := atomicfile.Write(t.o.Checkpoint, t.write); err != nil {
		return &CheckpointError{t.o.Checkpoint, err}
	}
	return nil
}

func (t *trainer) write(w io.Writer) error {
	sum := sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(w, sum), 1<<20)
	s := state{Of: t.of, Size: t.params.size, Step: t.step, Best: t.at, Sum: t.sum, End: t.end, Curve: t.curve}
	for _, v := range t.vectors() {
		if *v.at != nil {
			s.Vectors = append(s.Vectors, v.name)
		}
	}
	head, err := json.Marshal(s)
	if err != nil {
		return err
	}
	out.WriteString(checkpointMagic)
	out.Write(append(head, '\n'))
	for _, v := range t.vectors() {
		if *v.at != nil {
			out.Write(tensor.FromFloat32([]int{len(*v.at)}, *v.at).Data)
		}
	}
	if err := out.Flush(); err != nil { // which reports the first error of all writes
		return err
	}
	_, err = w.Write(sum.Sum(nil))
	return err
}

// resume goes on from the checkpoint, where there is one.
func (t *trainer) resume() error {
	f, _, err := bounded.Open(t.o.Checkpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &CheckpointError{t.o.Checkpoint, err}
	}
	defer f.Close()
	if err := t.read(f); err != nil {
		return &CheckpointError{t.o.Checkpoint, err}
	}
	return nil
}

// read takes over a state; on an error nothing has changed.
func (t *trainer) read(f io.Reader) error {
	sum := sha256.New()
	in := bufio.NewReaderSize(f, 1<<20)
	tee := io.TeeReader(in, sum)
	magic := make([]byte, len(checkpointMagic))
	if _, err := io.ReadFull(tee, magic); err != nil || string(magic) != checkpointMagic {
		return errors.New("it is not a checkpoint of this version")
	}
	s, err := readState(in, sum)
	if err != nil {
		return err
	}
	if err := t.same(s); err != nil {
		return err
	}
	read := map[string][]float32{}
	for _, name := range s.Vectors {
		of := t.vectors()
		i := slices.IndexFunc(of, func(v vector) bool { return v.name == name })
		if i < 0 {
			return fmt.Errorf("it has a vector %q, which this tuning has not", name)
		}
		v := tensor.New(tensor.Float32, of[i].size)
		if _, err := io.ReadFull(tee, v.Data); err != nil {
			return fmt.Errorf("it ends early: %w", err)
		}
		read[name] = v.Float32s()
	}
	last := make([]byte, sum.Size())
	if _, err := io.ReadFull(in, last); err != nil || !bytes.Equal(last, sum.Sum(nil)) {
		return errors.New("it is damaged")
	}
	for _, v := range t.vectors() {
		if read[v.name] == nil && *v.at != nil {
			return fmt.Errorf("it has no vector %q", v.name)
		}
	}
	for _, v := range t.vectors() {
		if *v.at == nil {
			*v.at = read[v.name]
		} else {
			copy(*v.at, read[v.name]) // which others look into
		}
	}
	t.step, t.at, t.sum, t.end, t.curve = s.Step, s.Best, s.Sum, s.End, s.Curve
	return nil
}

// readState reads the line of JSON.
func readState(in *bufio.Reader, sum io.Writer) (state, error) {
	var s state
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		if err == nil {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) || len(line) > mostHeader {
			return s, errors.New("its first lines are damaged")
		}
	}
	if _, err := sum.Write(line); err != nil {
		return s, err
	}
	if err := json.Unmarshal(line, &s); err != nil {
		return s, fmt.Errorf("its first lines are damaged: %w", err)
	}
	return s, nil
}

// same checks that a state is one of this tuning.
func (t *trainer) same(s state) error {
	for _, key := range slices.Sorted(maps.Keys(t.of)) {
		if s.Of[key] != t.of[key] {
			return fmt.Errorf("it is of another tuning: the %s differ (%s there, %s here)", key, s.Of[key], t.of[key])
		}
	}
	total := t.o.Epochs * t.stepsPerEpoch()
	points := len(s.Curve) > 0 && slices.ContainsFunc(s.Curve, func(p Point) bool { return p.Epoch == s.Best })
	if s.Size != t.params.size || s.Step < 0 || s.Step > total || !points {
		return errors.New("it is damaged: its numbers do not fit the tuning")
	}
	return nil
}
