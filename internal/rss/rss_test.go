package rss

import (
	"bytes"
	"os"
	"slices"
	"testing"
	"testing/fstest"
)

func TestAvailable(t *testing.T) {
	files := func(pairs ...string) fstest.MapFS {
		out := fstest.MapFS{"proc/meminfo": {Data: []byte("MemTotal:       16384 kB\nMemFree:  1 kB\n")}}
		for i := 0; i < len(pairs); i += 2 {
			out[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
		}
		return out
	}
	for _, c := range []struct {
		name string
		root fstest.MapFS
		want int64
	}{
		{"the machine", files(), 16 << 20},
		{"no limit", files("proc/self/cgroup", "0::/user/me\n", "sys/fs/cgroup/user/me/memory.max", "max\n"), 16 << 20},
		{"version 2", files("proc/self/cgroup", "0::/user/me\n", "sys/fs/cgroup/user/me/memory.max", "4096\n"), 4096},
		{"a group above", files("proc/self/cgroup", "0::/user/me\n", "sys/fs/cgroup/user/memory.max", "2048\n", "sys/fs/cgroup/user/me/memory.max", "4096\n"), 2048},
		{"a container, which sees its group as the root", files("proc/self/cgroup", "0::/docker/123\n", "sys/fs/cgroup/memory.max", "8192\n"), 8192},
		{"version 1", files("proc/self/cgroup", "5:cpu,cpuacct:/me\n4:memory:/me\n", "sys/fs/cgroup/memory/me/memory.limit_in_bytes", "512\n", "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"), 512},
		{"more than there is", files("proc/self/cgroup", "0::/\n", "sys/fs/cgroup/memory.max", "9223372036854771712\n"), 16 << 20},
		{"nothing", fstest.MapFS{}, 0},
	} {
		if got := available(c.root); got != c.want {
			t.Errorf("%s: %d bytes, want %d", c.name, got, c.want)
		}
	}
}

func TestLoads(t *testing.T) {
	for _, c := range []struct {
		before, after, limit int64
		want                 bool
	}{{100, 50, 400, true}, {101, 50, 400, false}, {100, 51, 400, false}, {0, 0, 0, true}} {
		if got := Loads(c.before, c.after, c.limit); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestDefaultLimit(t *testing.T) {
	for available, want := range map[int64]int64{0: 2 << 30, 1 << 30: 1 << 29, 8 << 30: 2 << 30} {
		if got := defaultLimit(available); got != want {
			t.Errorf("%d of %d bytes, want %d", got, available, want)
		}
	}
}

func TestSpool(t *testing.T) {
	s, err := NewSpool(1)
	if err != nil {
		t.Fatal(err)
	}
	folder := s.folder.Path
	var kept [][]byte
	var numbers [][]float64
	for i := range 5 {
		b, err := s.Bytes(bytes.Repeat([]byte{byte(i)}, 1+i*70000))
		if err != nil {
			t.Fatal(err)
		}
		v, err := s.Floats([]float64{float64(i), -1})
		if err != nil {
			t.Fatal(err)
		}
		kept, numbers = append(kept, b), append(numbers, v)
	}
	for i := range kept {
		Forget(kept[i])
		if !bytes.Equal(kept[i], bytes.Repeat([]byte{byte(i)}, 1+i*70000)) || !slices.Equal(numbers[i], []float64{float64(i), -1}) {
			t.Errorf("what was kept as number %d is something else now", i)
		}
	}
	if b, err := s.Bytes(nil); err != nil || len(b) != 0 {
		t.Errorf("%v, %v for no bytes", b, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(folder); err == nil {
		t.Error("the file is still there")
	}
	if err := (*Spool)(nil).Close(); err != nil {
		t.Error(err)
	}
}

// TestSpoolRows: lists lie one behind the other, and others take their place.
func TestSpoolRows(t *testing.T) {
	s, err := NewSpool(1)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	long := make([]float64, 100_000)
	for i := range long {
		long[i] = float64(i)
	}
	var all [][]float64
	for i := range 4 {
		kept, err := s.Rows([][]float64{{float64(i)}, nil, long, {-1, -2}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Bytes([]byte("abc")); err != nil {
			t.Fatal(err)
		}
		all = append(all, kept)
	}
	again, err := s.Rows([][]float64{{7, 8}, long, {9}}, func(int) []float64 { return all[2] })
	if err != nil || &again[0] != &all[2][0] {
		t.Fatalf("another place: %v", err)
	}
	for i, kept := range all {
		want := slices.Concat([]float64{float64(i)}, long, []float64{-1, -2})
		if i == 2 {
			want = slices.Concat([]float64{7, 8}, long, []float64{9})
		}
		if !slices.Equal(kept, want) {
			t.Errorf("lists number %d are others now", i)
		}
		read := [][]float64{make([]float64, 2), nil, make([]float64, len(want)-2)}
		if err := s.Fill(read, kept); err != nil || !slices.Equal(slices.Concat(read...), want) {
			t.Errorf("lists number %d are read as others, %v", i, err)
		}
	}
	if err := s.Fill([][]float64{nil}, nil); err != nil {
		t.Errorf("no numbers: %v", err)
	}
	if kept, err := s.Rows([][]float64{nil}, nil); err != nil || kept != nil {
		t.Errorf("%v, %v for no numbers", kept, err)
	}
}

// TestSpoolOfManyPieces: far more pieces are kept than a process may have maps, whatever their sizes.
func TestSpoolOfManyPieces(t *testing.T) {
	s, err := NewSpool(1 << 60)
	if err != nil {
		t.Fatal(err)
	}
	const pieces = 100_000
	var kept [][]float64
	for i := range pieces {
		v, err := s.Floats([]float64{float64(i), 1, 2}[:1+i%3])
		if err != nil {
			t.Fatalf("piece %d: %v", i, err)
		}
		b, err := s.Bytes([]byte("abcdefg")[:i%8])
		if err != nil || len(b) != i%8 {
			t.Fatalf("piece %d: %q, %v", i, b, err)
		}
		kept = append(kept, v)
	}
	for i, v := range kept {
		if v[0] != float64(i) || len(v) != 1+i%3 {
			t.Fatalf("piece %d is %v", i, v)
		}
	}
	if n := len(s.maps); n > 1 {
		t.Errorf("%d maps for little more than 2 MB", n)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
