package team

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"fosite-mcp/handlers"
	"fosite-mcp/provider"
	"fosite-mcp/provider/client"
	"fosite-mcp/storage"

	josev3 "github.com/go-jose/go-jose/v3"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/gorilla/mux"
	"github.com/ory/fosite"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// platforms are the team's rules about issuers, beside its clients.
type platforms struct {
	*machines
	rules []*client.Client
}

// GetClient finds a rule, too: it is the client of the tokens that it has given.
func (p *platforms) GetClient(ctx context.Context, id string) (fosite.Client, error) {
	for _, rule := range p.rules {
		if rule.ID == id && rule.Status == client.Active {
			return rule.Fosite(), nil
		}
	}
	return p.machines.GetClient(ctx, id)
}

// Used is an assertion that counts no more.
type Used struct {
	Name  string `gorm:"primaryKey"`
	Until time.Time
}

func (Used) TableName() string { return "used_assertions" }

// SetClientAssertionJWT lets one of any number of calls pass.
func (p *platforms) SetClientAssertionJWT(ctx context.Context, name string, until time.Time) error {
	return p.in(ctx, func(tx *gorm.DB) error {
		created := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&Used{Name: name, Until: until})
		if created.Error == nil && created.RowsAffected == 0 {
			return fosite.ErrJTIKnown
		}
		return created.Error
	})
}

// trusting is the store, with the team's rules.
type trusting struct {
	*storage.Store
	platforms *platforms
}

var _ provider.IssuerRuleStore = (*trusting)(nil)

func (s *trusting) RulesOfIssuer(_ context.Context, issuer string) (found []*client.Client, err error) {
	for _, rule := range s.platforms.rules {
		if rule.Trust.Issuer == issuer && rule.Status == client.Active {
			found = append(found, rule)
		}
	}
	return found, nil
}

// A job of the team's platform gets a token for its assertion, until the rule is gone.
func TestTheirPlatformsJobsNeedNoSecret(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	onEachDatabase(t, func(t *testing.T, db *team) {
		p := &platforms{machines: &machines{db: db.DB}}
		if err := db.AutoMigrate(&Machine{}, &Password{}, &Used{}); err != nil {
			t.Fatal(err)
		}
		store := &trusting{storage.New(db.DB, storage.WithClients(p), storage.WithSessions(&provider.Session{})), p}
		p.store = store.Store
		if err := store.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		rules := client.Rules{Scopes: []string{"mcp:search"}, Resources: []string{docs}, DefaultScope: "mcp:search", DefaultResource: docs}
		rule, err := rules.NewIssuer(map[string]any{"id": "ci", "name": "CI", "issuer": "https://ci.example.com", "subject": "job:docs"})
		if err != nil {
			t.Fatal(err)
		}
		rule.JWKS = &josev3.JSONWebKeySet{Keys: []josev3.JSONWebKey{{Key: key.Public()}}}
		p.rules = []*client.Client{rule}

		refused, tooMany := "", false
		oauth, err := provider.New(store, provider.Options{
			SystemSecret: []byte(strings.Repeat("s", 32)), Issuer: "https://auth.example.com", TokenURL: "https://auth.example.com/oauth2/token",
			Resources: provider.Resources{Known: []string{docs}, Default: docs},

			AllowWorkload: func(ctx context.Context, ruleID, subject string) error {
				if tooMany {
					return fosite.ErrTemporarilyUnavailable
				}
				return nil
			},
			AssertionRefused: func(ctx context.Context, a provider.RefusedAssertion) error {
				refused = a.Reason
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		server := &handlers.Server{Provider: oauth, NewSession: func() fosite.Session { return provider.NewSession() }, Issuer: "https://auth.example.com"}
		router := mux.NewRouter()
		if err := server.Mount(router); err != nil {
			t.Fatal(err)
		}
		exchange := func(jti string) (status int, token string) {
			claims := map[string]any{"iss": "https://ci.example.com", "sub": "job:docs", "aud": "https://auth.example.com", "jti": jti, "exp": time.Now().Unix() + 60}
			assertion, err := jwt.Signed(signer).Claims(claims).Serialize()
			if err != nil {
				t.Fatal(err)
			}
			r := request(url.Values{"grant_type": {client.JWTBearer}, "assertion": {assertion}})
			r.URL.Path = "/token"
			r.Header.Del("Authorization")
			w := httptest.NewRecorder()
			router.ServeHTTP(w, r)
			var answer struct {
				Token string `json:"access_token"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
				t.Fatal(err)
			}
			return w.Code, answer.Token
		}
		status, token := exchange("1")
		if status != http.StatusOK {
			t.Fatalf("%d, %s", status, refused)
		}
		active := func() bool {
			_, found, err := oauth.IntrospectToken(t.Context(), token, fosite.AccessToken, provider.NewSession())
			return err == nil && found.GetSession().GetSubject() == "job:docs" && found.GetClient().GetID() == "ci"
		}
		if !active() {
			t.Error("the token is not active")
		}
		if status, _ := exchange("1"); status != http.StatusBadRequest || refused != "it was used before" {
			t.Errorf("once more: %d, %q", status, refused)
		}
		tooMany = true
		if status, _ := exchange("2"); status != http.StatusServiceUnavailable {
			t.Errorf("too many: %d", status)
		}
		p.rules = nil
		if active() {
			t.Error("the token is active without the rule")
		}
	})
}
