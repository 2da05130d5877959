package audit

import (
	"context"
	"time"

	"gorm.io/gorm"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// Filter says which events [Log.List] returns. The zero value means the first page of all.
type Filter struct {
	Since, Until            time.Time // Since ≤ time < Until; zero: unbounded
	ClientID, Action, Actor string
	ClientIDs               []string // nil: of all clients, and of none
	After                   int64    // only events with a greater id
	Before                  int64    // only events with a smaller id; 0: any
	NewestFirst             bool
	Limit                   int // default 50
}

// List returns events, oldest first unless the filter says otherwise, and whether there are more. To follow the log, ask again with After set to
// the id of the last event seen: an event never appears in front of one that was visible before.
func (l *Log) List(ctx context.Context, filter Filter) (events []Event, more bool, err error) {
	if filter.Limit <= 0 {
		filter.Limit = 50
	}
	db := l.db.Read(ctx)
	query := db.Where("id > ?", filter.After).
		Where(&model.AuditEvent{ClientID: filter.ClientID, Action: filter.Action, Actor: filter.Actor}) // GORM leaves empty fields out
	if filter.ClientIDs != nil {
		query = query.Where("client_id IN ?", append([]string{}, filter.ClientIDs...))
	}
	if !filter.Since.IsZero() {
		query = query.Where("time >= ?", model.At(filter.Since))
		if filter.After == 0 { // skip what is older by the index; later pages have their cursor
			oldest := db.Model(&model.AuditEvent{}).Select("MIN(id)").Where("time >= ?", model.At(filter.Since))
			query = query.Where("id >= COALESCE((?), 0)", oldest)
		}
	}
	if !filter.Until.IsZero() {
		query = query.Where("time < ?", model.At(filter.Until))
	}
	if filter.Before > 0 {
		query = query.Where("id < ?", filter.Before)
	}
	if filter.NewestFirst {
		query = query.Order("id DESC")
	}
	rows, err := read(query, filter.Limit+1)
	if err != nil {
		return nil, false, err
	}
	if more = len(rows) > filter.Limit; more {
		rows = rows[:filter.Limit]
	}
	for i := range rows {
		events = append(events, eventOf(&rows[i]))
	}
	return events, more, nil
}

// read returns events in the order of their ids, unless query has another one.
func read(query *gorm.DB, limit int) (rows []model.AuditEvent, err error) {
	err = query.Order("id").Limit(limit).Find(&rows).Error
	return rows, database.Wrap(err, "read audit events")
}
