package audit

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// Summary counts events that differ in nothing but their times, tokens and requests.
type Summary struct {
	Action, Actor, IP, Outcome string
	Changes                    json.RawMessage
	Count                      int64
	First, Last                time.Time
}

// Summarize counts the events of a client, those with the newest ones first, and tells whether there are more lines than
// filter.Limit. A secretID that is not empty leaves out the events about other secrets. It reads all events of the client in the
// window.
func (l *Log) Summarize(ctx context.Context, filter Filter, secretID string) (lines []Summary, more bool, err error) {
	where, args := []string{"client_id = ?"}, []any{filter.ClientID}
	if !filter.Since.IsZero() { // the index holds ids: skip what is older by them
		where = append(where, "time >= ?", `id >= COALESCE((SELECT MIN(id) FROM {audit_events} WHERE time >= ?), 0)`)
		args = append(args, model.At(filter.Since), model.At(filter.Since))
	}
	if !filter.Until.IsZero() {
		where, args = append(where, "time < ?"), append(args, model.At(filter.Until))
	}
	if secretID != "" {
		where = append(where, `(changes NOT LIKE '%"secret_id":%' OR changes LIKE ? ESCAPE '!')`)
		args = append(args, `%"secret_id":{%"`+strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(secretID)+`"%`)
	}
	query := `SELECT action, actor, ip, outcome, changes, COUNT(*) AS count, MIN(time) AS first, MAX(time) AS last FROM {audit_events}
		WHERE ` + strings.Join(where, " AND ") + ` GROUP BY action, actor, ip, outcome, changes ORDER BY MAX(id) DESC LIMIT ?`
	var rows []struct {
		Action, Actor, IP, Outcome string
		Changes                    model.JSON
		Count                      int64
		First, Last                model.Time
	}
	if err := l.db.Read(ctx).Raw(l.db.SQL(query), append(args, filter.Limit+1)...).Find(&rows).Error; err != nil {
		return nil, false, database.Wrap(err, "summarize audit events")
	}
	if more = len(rows) > filter.Limit; more {
		rows = rows[:filter.Limit]
	}
	for _, row := range rows {
		lines = append(lines, Summary{row.Action, row.Actor, row.IP, row.Outcome, json.RawMessage(row.Changes), row.Count, row.First.Time, row.Last.Time})
	}
	return lines, more, nil
}

// Since is the time of the oldest event where older ones were pruned; zero: the log has every event there was.
func (l *Log) Since(ctx context.Context) (time.Time, error) {
	ends, err := chainEnds(l.db.Read(ctx).DB)
	if err != nil || ends.PrunedID == 0 {
		return time.Time{}, err
	}
	oldest, err := read(l.db.Read(ctx).Where("id > ?", ends.PrunedID), 1)
	if err != nil || len(oldest) == 0 {
		return time.Time{}, err
	}
	return oldest[0].Time.Time, nil
}
