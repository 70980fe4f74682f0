// Package rss knows how much memory there is for this process and how much it has taken, and puts into files what need not be in
// memory.
//
// Pages of a mapped file count as resident once they were read. [Forget] gives those of a range back, which the file can always show
// again; a [Shedder] does the same for maps that others made. A [Spool] is a temporary file for numbers that are made long before
// they are read.
package rss
