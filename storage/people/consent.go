package people

import (
	"context"
	"errors"
	"slices"
	"time"

	"gorm.io/gorm/clause"

	"fosite-mcp/storage/audit"
	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// Consents is what people have allowed clients to do in their name.
type Consents struct{ people }

// consentBatch bounds the values of one statement.
const consentBatch = 500

// Remember keeps that a person allowed a client these scopes at each of these resources, in addition to what they
// allowed before. The names are those that the person saw.
func (c *Consents) Remember(ctx context.Context, subject, username, clientID, clientName string, resources, scopes []string) error {
	if subject == "" || clientID == "" {
		return errors.New("storage: refusing to store a consent without a subject or a client")
	}
	now := model.At(c.now())
	var rows []model.Consent
	for _, resource := range orNone(resources) {
		for _, scope := range orNone(scopes) {
			rows = append(rows, model.Consent{
				Subject: subject, ClientID: clientID, Resource: resource, Scope: scope,
				Username: username, ClientName: clientName, CreatedAt: now, UpdatedAt: now,
			})
		}
	}
	again := clause.OnConflict{
		Columns:   []clause.Column{{Name: "subject"}, {Name: "client_id"}, {Name: "resource"}, {Name: "scope"}},
		DoUpdates: clause.AssignmentColumns([]string{"username", "client_name", "updated_at"}),
	}
	return c.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		if err := tx.Clauses(again).CreateInBatches(rows, consentBatch).Error; err != nil {
			return database.Wrap(err, "store a consent")
		}
		return c.record(ctx, audit.Event{Actor: "user:" + username, Action: "consent.granted", ClientID: clientID},
			map[string]any{"subject": subject, "username": username, "scope": model.List(scopes).String(), "resource": model.List(resources).String()})
	})
}

// orNone is list without repetitions: one statement must not store a row twice. An empty list is one empty entry, so that
// "no scope at no resource" can be remembered too.
func orNone(list []string) []string {
	if len(list) == 0 {
		return []string{""}
	}
	return slices.Compact(slices.Sorted(slices.Values(list)))
}

// Find returns the scopes that a person allowed a client, by resource. No consent is an empty map.
func (c *Consents) Find(ctx context.Context, subject, clientID string) (map[string][]string, error) {
	var rows []model.Consent
	err := c.db.Read(ctx).Where("subject = ? AND client_id = ?", subject, clientID).Order("resource, scope").Find(&rows).Error
	if err != nil {
		return nil, database.Wrap(err, "read a consent")
	}
	allowed := make(map[string][]string)
	for _, row := range rows {
		allowed[row.Resource] = append(allowed[row.Resource], row.Scope)
	}
	return allowed, nil
}

// Withdraw is [Consents.WithdrawAll] for one person and one client.
func (c *Consents) Withdraw(ctx context.Context, subject, clientID string) error {
	if subject == "" || clientID == "" {
		return errors.New("storage: refusing to withdraw a consent without a subject or a client")
	}
	_, err := c.WithdrawAll(ctx, ConsentFilter{Subject: subject, ClientID: clientID})
	return err
}

// WithdrawAll forgets what people allowed and revokes every grant that came of it, in one step. It tells how many
// pairs of person and client are affected; none is no error.
func (c *Consents) WithdrawAll(ctx context.Context, filter ConsentFilter) (withdrawn int, err error) {
	if filter == (ConsentFilter{}) {
		return 0, errors.New("storage: refusing to withdraw every consent there is; name a person or a client")
	}
	err = c.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		consents, err := c.List(ctx, filter)
		if err != nil {
			return err
		}
		withdrawn = len(consents)
		for _, consent := range consents {
			if err := c.withdraw(ctx, tx, consent); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return withdrawn, nil
}

func (c *Consents) withdraw(ctx context.Context, tx *database.Tx, consent Consent) error {
	if err := tx.Where("subject = ? AND client_id = ?", consent.Subject, consent.ClientID).Delete(&model.Consent{}).Error; err != nil {
		return database.Wrap(err, "delete a consent")
	}
	if _, err := c.access.Revoke(ctx, consent.Subject, consent.ClientID); err != nil {
		return err
	}
	return c.recordWithdrawal(ctx, consent)
}

// forget deletes what a person has allowed any client, and tells how many clients that were. Each is an event, as if the person had
// withdrawn it: the log then says of everybody until when they had access.
func (p *people) forget(ctx context.Context, tx *database.Tx, subject string) (clients int64, err error) {
	var rows []model.Consent
	if err := tx.Where("subject = ?", subject).Order("updated_at, resource, scope").Find(&rows).Error; err != nil {
		return 0, database.Wrap(err, "list the consents of a person")
	}
	if err := tx.Where("subject = ?", subject).Delete(&model.Consent{}).Error; err != nil {
		return 0, database.Wrap(err, "delete the consents of a person")
	}
	for _, consent := range inOrder(byParties(rows)) {
		clients++
		if err := p.recordWithdrawal(ctx, consent); err != nil {
			return 0, err
		}
	}
	return clients, nil
}

// recordWithdrawal puts the end of a consent on record, with what it was for.
func (p *people) recordWithdrawal(ctx context.Context, consent Consent) error {
	event := audit.Event{Action: "consent.withdrawn", ClientID: consent.ClientID}
	if audit.OriginFrom(ctx).Actor == "" {
		event.Actor = "user:" + consent.Username
	}
	var err error
	event.Changes, err = audit.Changes(
		map[string]any{"scope": model.List(consent.Scopes).String(), "resource": model.List(consent.Resources).String()},
		map[string]any{"subject": consent.Subject, "username": consent.Username})
	if err != nil {
		return err
	}
	return p.log.Append(ctx, event)
}

// Each calls show for every client that has access in the name of a person, in the order of client ids. lastUsed is
// zero when it is not known.
func (c *Consents) Each(ctx context.Context, subject string, show func(clientID, clientName string, scopes, resources []string, since, lastUsed time.Time)) error {
	if subject == "" {
		return errors.New("storage: refusing to list the consents of an empty subject")
	}
	consents, err := c.List(ctx, ConsentFilter{Subject: subject})
	if err != nil {
		return err
	}
	for _, c := range consents {
		show(c.ClientID, c.ClientName, c.Scopes, c.Resources, c.CreatedAt, c.LastUsedAt)
	}
	return nil
}
