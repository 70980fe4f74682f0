package rss

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Shedder keeps what this process has resident below a limit, as far as that is pages of some files' maps.
type Shedder struct {
	files []string // as the system lists their maps
	limit int64
	stop  chan struct{}
	done  chan struct{}
}

// interval is how often a shedder looks: often enough for a disk or a cache to bring in little more than the limit meanwhile.
const interval = 20 * time.Millisecond

// A shedder that gives back little, because it is other memory that takes the room, looks less often, down to one look in longest:
// its files' pages come in again as soon as somebody reads them.
const (
	little  = 16 // of the limit, a part of
	longest = 32 * interval
)

// Shed gives the pages of all maps of the files at paths back whenever more than limit bytes are resident, until Stop. These maps are
// others', such as a runtime's of its weights: they must not be written to, and must stay as they are until Stop has returned.
// Where the system has no such maps, or the paths lead nowhere, nothing is done.
func Shed(paths []string, limit int64) *Shedder {
	s := &Shedder{limit: limit, stop: make(chan struct{}), done: make(chan struct{})}
	for _, p := range paths {
		if info, err := os.Stat(p); err == nil {
			if id, ok := identity(info); ok {
				s.files = append(s.files, id)
			}
		}
	}
	go s.watch()
	return s
}

func (s *Shedder) watch() {
	defer close(s.done)
	for wait := interval; ; {
		select {
		case <-s.stop:
			return
		case <-time.After(wait):
			wait = s.look(wait)
		}
	}
}

// look sheds where there is too much, and returns how long to wait until the next look.
func (s *Shedder) look(waited time.Duration) time.Duration {
	before := Resident()
	if len(s.files) == 0 || before <= s.limit {
		return interval
	}
	s.shed()
	if before-Resident() < s.limit/little {
		return min(2*waited, longest)
	}
	return interval
}

// Stop ends the watch.
func (s *Shedder) Stop() {
	close(s.stop)
	<-s.done
}

// identity is a file as lines of /proc/self/maps have it: " MAJOR:MINOR INODE ".
func identity(info os.FileInfo) (string, bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", false
	}
	dev := uint64(st.Dev)
	return fmt.Sprintf("%02x:%02x %d", unix.Major(dev), unix.Minor(dev), st.Ino), true
}

// shed gives the pages of the files' maps back.
func (s *Shedder) shed() {
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		// START-END PERMISSIONS OFFSET MAJOR:MINOR INODE PATH
		fields := strings.Fields(lines.Text())
		if len(fields) < 6 || !slices.Contains(s.files, fields[3]+" "+fields[4]) {
			continue
		}
		from, to, _ := strings.Cut(fields[0], "-")
		start, err := strconv.ParseUint(from, 16, 64)
		if err != nil {
			continue
		}
		end, err := strconv.ParseUint(to, 16, 64)
		if err != nil {
			continue
		}
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, uintptr(start), uintptr(end-start), unix.MADV_DONTNEED)
	}
}

// Resident returns how many bytes this process has in memory now; 0 where the system does not say.
func Resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	n, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return n * int64(os.Getpagesize())
}
