package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onnx-compress/onnx-compress/internal/provision"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxiotest"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// shop is a model with external data, samples for it, and a folder in which a result of each of two targets takes the place
// of the other.
type shop struct {
	t                     *testing.T
	folder, temp, library string
	model, data           string
	old, fresh            []string // what the program is asked for
}

func newShop(t *testing.T, folder string) *shop {
	s := &shop{t: t, folder: folder, temp: t.TempDir(), library: provisiontest.Need(t, provision.ONNXRuntime)}
	source := t.TempDir()
	s.model, s.data = filepath.Join(source, "net.onnx"), filepath.Join(source, "x.bin")
	c, _ := testmodels.Get("cnn")
	made, err := c.Build(1)
	if err != nil {
		t.Fatal(err)
	}
	onnxiotest.External(t, made, s.model, "w.bin")
	records := make([]byte, 60*769)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range records {
		records[i] = byte(random.IntN(5))
	}
	if err := os.WriteFile(s.data, records, 0o644); err != nil {
		t.Fatal(err)
	}
	ask := func(target string) []string {
		return []string{
			s.model, "-o", filepath.Join(folder, "out.onnx"), "--force", "--calib", s.data, "--target", target,
			"--methods", "svd", "--threads", "1", "--stats", filepath.Join(folder, "stats"), "-q",
		}
	}
	s.old, s.fresh = ask("macs=0.9"), append(ask("macs=0.7"), "--seed", "1") // each finds the other's statistics
	return s
}

// command is the program in a process group of its own.
func (s *shop) command(args []string) *exec.Cmd {
	c := exec.Command(os.Args[0], args...)
	c.Args[0] = "onnx-compress"
	c.Dir = s.temp
	c.Env = append(os.Environ(), provision.ONNXRuntime.Env()+"="+s.library, "TMPDIR="+s.temp)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return c
}

// done runs the program to its end, and says what the folder holds then: the model, its data, the statistics, and nothing else.
func (s *shop) done(args []string) string {
	s.t.Helper()
	c := s.command(args)
	if out, err := c.CombinedOutput(); err != nil {
		s.t.Fatalf("%v: %s", err, out)
	}
	for _, folder := range []string{s.folder, s.temp} {
		for _, e := range s.list(folder) {
			if strings.Contains(e, ".tmp-") || strings.Contains(e, "onnx-compress") {
				s.t.Fatalf("left in %s: %s", folder, e)
			}
		}
	}
	if all := s.list(s.folder); len(all) != 3 {
		s.t.Fatalf("the folder holds %q", all)
	}
	return s.state()
}

func (s *shop) list(folder string) []string {
	entries, err := os.ReadDir(folder)
	if err != nil {
		s.t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// state is the model's digest, data included; they must be whole.
func (s *shop) state() string {
	s.t.Helper()
	path := filepath.Join(s.folder, "out.onnx")
	if err := onnxio.CheckData(context.Background(), path); err != nil {
		s.t.Fatal(err)
	}
	sum, err := onnxio.Digest(context.Background(), path)
	if err != nil {
		s.t.Fatal(err)
	}
	return sum
}

// kills is how often the program is killed, unless ONNX_COMPRESS_KILLS says it.
func kills(t *testing.T, times int) int {
	t.Helper()
	if word := os.Getenv("ONNX_COMPRESS_KILLS"); word != "" {
		var err error
		if times, err = strconv.Atoi(word); err != nil {
			t.Fatal(err)
		}
	}
	return times
}

// TestKills kills the program at random moments: the output is the old or the new one, whole, and after the next run nothing is
// left. ONNX_COMPRESS_KILLS says how often.
func TestKills(t *testing.T) {
	times := kills(t, 12)
	s := newShop(t, t.TempDir())
	s.done(s.old)
	begin := time.Now()
	fresh := s.done(s.fresh)
	whole := time.Since(begin)
	old := s.done(s.old)
	random := rand.New(rand.NewPCG(uint64(times), 4))
	seen := map[string]int{}
	for i := range times {
		c := s.command(s.fresh)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		after := time.Duration(random.Float64() * 1.2 * float64(whole))
		time.Sleep(after)
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
		_ = c.Wait()
		switch got := s.state(); got {
		case old:
			seen["old"]++
		case fresh:
			seen["new"]++
		default:
			t.Fatalf("kill %d after %v: neither the old nor the new output", i, after)
		}
		for _, name := range s.list(s.folder) {
			if strings.Contains(name, ".tmp-") {
				seen["left over"]++
			}
		}
		if s.done(s.old) != old {
			t.Fatalf("after kill %d the next run writes something else", i)
		}
	}
	t.Logf("%d kills within %v: %v", times, whole, seen)
}

// TestFullDisk runs the program on file systems that are too small, each by a little more: the output is the old one, or the new
// one in full.
func TestFullDisk(t *testing.T) {
	disk := t.TempDir()
	mount := func(flags uintptr, size int) error {
		return syscall.Mount("none", disk, "tmpfs", flags, fmt.Sprintf("size=%dk", size))
	}
	const most = 4096
	if err := mount(0, most); err != nil {
		t.Skipf("no small file system here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	s := newShop(t, disk)
	fresh := s.done(s.fresh)
	old := s.done(s.old)
	used := 0
	for _, name := range s.list(disk) {
		info, err := os.Stat(filepath.Join(disk, name))
		if err != nil {
			t.Fatal(err)
		}
		used += int(info.Size()>>10) + 4
	}
	ends := map[bool]int{}
	for more := 0; more <= 2*used && used+more < most; more += max(8, used/6) {
		const remount = syscall.MS_REMOUNT
		if err := mount(remount, used+more); err != nil {
			t.Skipf("no smaller file system here: %v", err)
		}
		c := s.command(s.fresh)
		said, err := c.CombinedOutput()
		got := s.state()
		if err != nil && (got != old || c.ProcessState.ExitCode() != exitFailed || !bytes.Contains(said, []byte("no space left"))) || err == nil && got != fresh {
			t.Errorf("%d KiB more: code %d, %s; the output is new: %v", more, c.ProcessState.ExitCode(), said, got == fresh)
		}
		ends[err == nil]++
		if slices.ContainsFunc(s.list(disk), func(name string) bool { return strings.Contains(name, ".tmp-") }) {
			t.Errorf("%d KiB more: left %q", more, s.list(disk))
		}
		if err := mount(remount, most); err != nil {
			t.Fatal(err)
		}
		if s.done(s.old) != old {
			t.Error("the next run writes something else")
		}
	}
	if ends[true] == 0 || ends[false] == 0 {
		t.Errorf("want both runs that fit and runs that do not: %v", ends)
	}
}
