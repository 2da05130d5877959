package handlers

import (
	"time"

	"golang.org/x/time/rate"
)

// How many events of a flood are told: some at once, then one in each interval.
const (
	sampleBurst    = 50
	sampleInterval = 10 * time.Second
)

// NewSample tells of which events of one kind a line is written, where strangers can cause any number of them: they must
// not fill the disk. A single event is always told.
func NewSample() *rate.Limiter { return rate.NewLimiter(rate.Every(sampleInterval), sampleBurst) }
