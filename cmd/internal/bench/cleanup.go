package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"fosite-mcp/config"
)

// CleanUp is how requests fared while the server deleted expired tokens.
type CleanUp struct {
	Rows        int     `json:"rows"`
	Seconds     float64 `json:"seconds"`
	Connections int     `json:"connections"`
	During      Sample  `json:"during"` // issue
	After       Sample  `json:"after"`
}

// cleanUpLimit bounds the deletion.
const cleanUpLimit = 30 * time.Minute

// cleanUp puts expired tokens into the table, and lets a server issue tokens while it deletes them, which it does as soon as it
// has started.
func (b *bench) cleanUp(ctx context.Context, s *site) (err error) {
	s.server.stop()
	first := time.Now().Add(-config.Default().Tokens.AccessLifespan - 25*time.Hour)
	progress := func(done int) { b.Progress("adding expired tokens: %d of %d rows", done, b.Expired) }
	if err := s.db.fill(ctx, b.Expired, first, first.Add(24*time.Hour), progress); err != nil {
		return err
	}
	if err := s.db.settle(ctx); err != nil {
		return err
	}
	if err := s.server.start(ctx); err != nil {
		return err
	}
	report := &CleanUp{Rows: b.Expired, Connections: slices.Max(b.Connections)}
	s.clients.address()
	l := b.load(s, issue, report.Connections, s.clients.issue)
	l.warm = 0
	all := &outcome{before: l.meter.read()}
	began := time.Now()
	for deleted := 0; deleted < b.Expired; {
		if time.Since(began) > cleanUpLimit {
			return fmt.Errorf("the server has deleted %d of %d expired tokens in %s", deleted, b.Expired, cleanUpLimit)
		}
		result, err := l.run(ctx)
		if err != nil {
			return err
		}
		b.report.count(issue, report.Connections, result)
		all.latencies = append(all.latencies, result.latencies...)
		if deleted, err = s.server.deleted(ctx); err != nil {
			return err
		}
		b.Progress("expired tokens that the server has deleted: %d of %d, requests/s: %.0f", deleted, b.Expired, result.sample().PerSecond)
	}
	all.took, all.after = time.Since(began), l.meter.read()
	slices.Sort(all.latencies)
	report.Seconds, report.During = all.took.Seconds(), all.sample()
	result, err := l.run(ctx)
	if err != nil {
		return err
	}
	report.After = result.sample()
	b.report.count(issue, report.Connections, result)
	b.report.CleanUp = report
	return nil
}

var deletedRows = regexp.MustCompile(`(?m)^fosite_mcp_cleanup_deleted_rows_total\{table="access_tokens"\} (\S+)`)

// deleted is how many expired tokens this server has deleted.
func (s *server) deleted(ctx context.Context) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.admin+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	metrics, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	found := deletedRows.FindSubmatch(metrics)
	if found == nil { // none so far
		return 0, nil
	}
	n, err := strconv.ParseFloat(string(found[1]), 64)
	return int(n), err
}
