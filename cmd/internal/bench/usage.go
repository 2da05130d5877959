package bench

// usage is what the machine has spent so far, in seconds of CPU time. What cannot be measured is nil.
type usage struct {
	server, database, load *float64
	stolen, busy, all      *float64 // of the whole machine; stolen: the host gave it to other machines
	resident               *float64 // bytes of memory that the server has now
}

// meter reads usages.
type meter struct {
	server     int // process
	postmaster int // process; 0: unknown, or no PostgreSQL
}

// perRequest is the CPU time between two readings in microseconds per request.
func perRequest(before, after *float64, requests int) *float64 {
	if before == nil || after == nil || requests == 0 {
		return nil
	}
	return new((*after - *before) / float64(requests) * 1e6)
}

// shareOfStolen is which share of the machine's CPU time was stolen between two readings.
func shareOfStolen(before, after usage) *float64 {
	if before.all == nil || after.all == nil || *after.all <= *before.all {
		return nil
	}
	return new((*after.stolen - *before.stolen) / (*after.all - *before.all))
}

// shareOfOthers is which share of it went to other programs than these.
func shareOfOthers(before, after usage) *float64 {
	if before.all == nil || after.all == nil || *after.all <= *before.all || after.server == nil || before.server == nil {
		return nil
	}
	others := *after.busy - *before.busy
	for _, ours := range [][2]*float64{{before.server, after.server}, {before.database, after.database}, {before.load, after.load}} {
		if ours[0] != nil && ours[1] != nil {
			others -= *ours[1] - *ours[0]
		}
	}
	return new(max(0, others/(*after.all-*before.all)))
}
