package samples

// Progress is told how far work on samples is: so much is done of a total, both 0 where it only begins. what is what is being
// done, or how it goes, in words; work that is a part of other work says "", or only how it goes, and whoever asked for it puts
// the name before that. Calls do not overlap.
type Progress func(what string, done, total int)
