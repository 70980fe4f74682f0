package atomicfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// text writes a text.
func text(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

var errFull = errors.New("no space left on device")

// full writes until a disk is full.
func full(w io.Writer) error {
	if _, err := w.Write(make([]byte, 1<<20)); err != nil {
		return err
	}
	return errFull
}

// put makes a file.
func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// holds wants a folder to hold these files, "name: content", and nothing else, hidden or not.
func holds(t *testing.T, folder string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			t.Error(err)
		}
		got = append(got, e.Name()+": "+string(content))
	}
	if !slices.Equal(got, want) {
		t.Errorf("the folder holds %q, want %q", got, want)
	}
}

func TestWrite(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "a")
	if err := Write(path, full); !errors.Is(err, errFull) {
		t.Errorf("error %v", err)
	}
	holds(t, folder)
	for _, content := range []string{"one", "two"} { // the second over the first
		if err := Write(path, text(content)); err != nil {
			t.Fatal(err)
		}
		holds(t, folder, "a: "+content)
	}
	if err := Write(path, full); !errors.Is(err, errFull) {
		t.Errorf("error %v", err)
	}
	holds(t, folder, "a: two")
	for _, bad := range []string{filepath.Join(path, "x"), filepath.Join(folder, "none", "x"), folder} {
		if err := Write(bad, text("three")); err == nil || !strings.Contains(err.Error(), bad) && !strings.Contains(err.Error(), filepath.Dir(bad)) {
			t.Errorf("%s: error %v", bad, err)
		}
	}
	holds(t, folder, "a: two")
}

// TestWritePanic: what a panic passes leaves nothing either.
func TestWritePanic(t *testing.T) {
	folder := t.TempDir()
	func() {
		defer func() { _ = recover() }()
		_ = Write(filepath.Join(folder, "a"), func(io.Writer) error { panic("half-way") })
	}()
	holds(t, folder)
}

func TestCreate(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "a")
	put(t, path, "old")
	f, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := text("new")(f); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "old" {
		t.Errorf("before Commit the file holds %q, %v", got, err)
	}
	left, err := filepath.Glob(filepath.Join(folder, ".a.tmp-*"))
	if err != nil || len(left) != 1 {
		t.Errorf("%q, %v waits beside it", left, err)
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	f.Discard()
	holds(t, folder, "a: new")
	if f, err = Create(path); err != nil {
		t.Fatal(err)
	}
	if err := text("newer")(f); err != nil {
		t.Fatal(err)
	}
	f.Discard()
	holds(t, folder, "a: new")
	if err := f.Commit(); err == nil {
		t.Error("a discarded file was committed")
	}
	holds(t, folder, "a: new")
}

func TestPermissions(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no permission bits")
	}
	path := filepath.Join(t.TempDir(), "a")
	put(t, path, "old")
	if err := os.Chmod(path, 0o604); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, text("new")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o604 {
		t.Errorf("permissions %v, %v; want those of the old file", info.Mode(), err)
	}
	fresh, plain := filepath.Join(filepath.Dir(path), "b"), filepath.Join(filepath.Dir(path), "c")
	if err := Write(fresh, text("new")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(plain, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	got, err := os.Stat(fresh)
	want, wantErr := os.Stat(plain)
	if err != nil || wantErr != nil || got.Mode() != want.Mode() {
		t.Errorf("a new file has %v, want %v (%v, %v)", got.Mode(), want.Mode(), err, wantErr)
	}
}

// TestLinks: a single file is written where its link leads; of a set the link itself is replaced.
func TestLinks(t *testing.T) {
	folder, elsewhere := t.TempDir(), t.TempDir()
	real, link, dangling := filepath.Join(elsewhere, "real"), filepath.Join(folder, "link"), filepath.Join(folder, "dangling")
	put(t, real, "old")
	for at, to := range map[string]string{link: real, dangling: filepath.Join(elsewhere, "gone")} {
		if err := os.Symlink(to, at); err != nil {
			t.Skipf("no links here: %v", err)
		}
	}
	if err := Write(link, full); !errors.Is(err, errFull) {
		t.Errorf("error %v", err)
	}
	holds(t, elsewhere, "real: old")
	if err := Write(link, text("new")); err != nil {
		t.Fatal(err)
	}
	holds(t, elsewhere, "real: new")
	if to, err := os.Readlink(link); err != nil || to != real {
		t.Errorf("the link leads to %q, %v", to, err)
	}
	if err := Write(dangling, text("new")); err == nil || !strings.Contains(err.Error(), "a link that leads nowhere") {
		t.Errorf("error %v", err)
	}
	holds(t, elsewhere, "real: new")
	if err := os.Remove(dangling); err != nil {
		t.Fatal(err)
	}

	s, err := Beside(link)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Write(link, text("own")), s.Commit()); err != nil {
		t.Fatal(err)
	}
	holds(t, folder, "link: own")
	holds(t, elsewhere, "real: new")
}

func TestIrregular(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no device files")
	}
	if err := Write(os.DevNull, text("x")); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("error %v", err)
	}
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode().IsRegular() {
		t.Errorf("%s has become a file: %v", os.DevNull, err)
	}
}

// TestSet fails each step of a set of two in turn, the last over an old file: this stays, alone, unless
// every step went well.
func TestSet(t *testing.T) {
	steps := []string{"first write", "second write", "first move", "second move", ""}
	for _, failing := range steps {
		t.Run("failing "+failing, func(t *testing.T) {
			folder := t.TempDir()
			waits, a, b := filepath.Join(folder, "waits"), filepath.Join(folder, "a"), filepath.Join(folder, "b")
			put(t, b, "old b")
			s, err := Beside(b)
			if err != nil {
				t.Fatal(err)
			}
			fill := func(step, target, content string) {
				body := text(content)
				if failing == step {
					body = full
				}
				if err == nil {
					err = s.Write(target, body)
				}
			}
			fill("first write", waits, "new a")
			if err == nil {
				err = s.Retarget(waits, a)
			}
			fill("second write", b, "new b")
			for step, target := range map[string]string{"first move": a, "second move": b} {
				if failing == step {
					err = errors.Join(err, os.Remove(s.Path(target)))
				}
			}
			if err == nil {
				err = s.Commit()
			}
			s.Discard()
			if failing == "" {
				if err != nil {
					t.Fatal(err)
				}
				holds(t, folder, "a: new a", "b: new b")
				return
			}
			if want := map[bool]error{true: errFull, false: fs.ErrNotExist}[strings.HasSuffix(failing, "write")]; !errors.Is(err, want) {
				t.Errorf("error %v, want %v", err, want)
			}
			holds(t, folder, "b: old b")
		})
	}
}

// TestSweep: what a dead process left goes when the next file is written beside it, and nothing else does.
func TestSweep(t *testing.T) {
	folder := t.TempDir()
	dead, err := MakeFolder(folder, ".a")
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dead.Path, "a"), "half")
	if err := dead.close(); err != nil { // as the end of a process does
		t.Fatal(err)
	}
	const name = ".tmp-ABCDEFGHIJKL"
	for _, path := range []string{".unlocked" + name, ".others" + name, ".b.tmp-x"} {
		if err := os.Mkdir(filepath.Join(folder, path), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	put(t, filepath.Join(folder, ".others"+name, "file"), "not ours")
	put(t, filepath.Join(folder, ".file"+name), "no folder")
	elsewhere := t.TempDir()
	put(t, filepath.Join(elsewhere, lockName), "")
	if err := os.Symlink(elsewhere, filepath.Join(folder, ".link"+name)); err != nil {
		t.Skipf("no links here: %v", err)
	}
	alive, err := MakeFolder(folder, ".c")
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(filepath.Join(folder, "a"), text("new")); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if want := []string{".b.tmp-x", filepath.Base(alive.Path), ".file" + name, ".link" + name, ".others" + name, "a"}; !slices.Equal(got, want) {
		t.Errorf("the folder holds %q, want %q", got, want)
	}
	holds(t, elsewhere, lockName+": ")
	alive.Remove()
	alive.Remove()
	if _, err := os.Stat(alive.Path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: %v", alive.Path, err)
	}
}

// TestRemovedLock: whoever waits for the lock of a folder that is removed does not find its file any more when he has it, and so does not
// take the folder for his own.
func TestRemovedLock(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a file that is open cannot be removed there")
	}
	for range 200 {
		f, err := MakeFolder(t.TempDir(), "x")
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(f.Path, lockName)
		waiting, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		go f.Remove()
		for ok := false; !ok; ok, _ = tryLock(waiting) {
			runtime.Gosched()
		}
		if _, err := os.Lstat(path); err == nil {
			t.Fatal("it is unlocked and still there")
		}
		if err := waiting.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFoldersConcurrently: makers do not sweep each other's.
func TestFoldersConcurrently(t *testing.T) {
	in := t.TempDir()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 30 {
				f, err := MakeFolder(in, "x")
				if err == nil {
					err = os.WriteFile(filepath.Join(f.Path, "file"), []byte("x"), 0o600)
				}
				if err != nil {
					t.Error(err)
					return
				}
				f.Remove()
			}
		})
	}
	all.Wait()
	holds(t, in)
}

// TestCommitAll: where one of several sets cannot come to its place, the others are as if nothing had been, links too; what could not be put back
// is named.
func TestCommitAll(t *testing.T) {
	folder := t.TempDir()
	in := func(name string) string { return filepath.Join(folder, name) }
	begin := func() (sets []*Set) {
		for _, name := range []string{"fresh", "old", "link", "last"} {
			s, err := Beside(in(name))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Write(in(name), text("new "+name)); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Discard)
			sets = append(sets, s)
		}
		return sets
	}
	put(t, in("old"), "what was there")
	put(t, in("elsewhere"), "linked")
	if err := os.Symlink("elsewhere", in("link")); err != nil {
		t.Skip(err)
	}
	if err := os.MkdirAll(in("last/full"), 0o777); err != nil { // which no file replaces
		t.Fatal(err)
	}
	sets := begin()
	if err := CommitAll(sets...); err == nil || !strings.Contains(err.Error(), in("last")) || strings.Contains(err.Error(), "was replaced") {
		t.Errorf("where one cannot be moved: %v", err)
	}
	for _, s := range sets {
		s.Discard()
	}
	if err := os.RemoveAll(in("last")); err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(in("link")); err != nil || to != "elsewhere" {
		t.Errorf("the link leads to %q, %v", to, err)
	}
	holds(t, folder, "elsewhere: linked", "link: linked", "old: what was there")
	if err := CommitAll(begin()...); err != nil {
		t.Fatal(err)
	}
	holds(t, folder, "elsewhere: linked", "fresh: new fresh", "last: new last", "link: new link", "old: new old")

	err := undo([]moved{{target: in("old")}, {target: in("link"), old: in("lost")}, {target: in("none"), fresh: true}})
	for _, want := range []string{in("old") + " was replaced, and what was there could not be held", in("link") + " was replaced", in("none") + " was written"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want that %s", err, want)
		}
	}
}

// TestFresh: where something has come to the place of what must be new it stays, and the files wait on for another place; of sets that are written
// to one place at once exactly one comes there.
func TestFresh(t *testing.T) {
	folder := t.TempDir()
	in := func(name string) string { return filepath.Join(folder, name) }
	data, model, other := in("data"), in("model"), in("other")
	put(t, data, "old data")
	put(t, model, "precious")
	s, err := Beside(model)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Discard()
	s.Fresh()
	if err := errors.Join(s.Write(data, text("new data")), s.Write(model, text("new"))); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(); !errors.Is(err, fs.ErrExist) {
		t.Errorf("error %v", err)
	}
	for path, want := range map[string]string{data: "old data", model: "precious", s.Path(data): "new data", s.Path(model): "new"} {
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v; want %q", path, got, err, want)
		}
	}
	if err := errors.Join(s.Retarget(model, other), s.Commit()); err != nil {
		t.Fatal(err)
	}
	holds(t, folder, "data: new data", "model: precious", "other: new")

	var all sync.WaitGroup
	came := make([]error, 8)
	for i := range came {
		s, err := Beside(in("one"))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Discard()
		s.Fresh()
		if err := s.Write(in("one"), text("x")); err != nil {
			t.Fatal(err)
		}
		all.Go(func() { came[i] = s.Commit() })
	}
	all.Wait()
	first := 0
	for _, err := range came {
		if err == nil {
			first++
		} else if !errors.Is(err, fs.ErrExist) {
			t.Error(err)
		}
	}
	if first != 1 {
		t.Errorf("%d of %d came to one place", first, len(came))
	}
}
