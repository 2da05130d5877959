-- Asks fosite-mcp about the token of a request, for haproxy.cfg. The variable txn.verified is the status of the answer:
--   204  let it through; the headers that tell whose request it is have been set
--   401, 403  refuse it, with the challenge in txn.challenge
--   503  nobody knows
-- An error in here leaves 503 there, so a request passes on a clear answer only.

local identity = { "x-auth-subject", "x-auth-subject-issuer", "x-auth-client-id", "x-auth-scope", "x-auth-token-id" }

-- once returns the value of a header, and nil if there is none. HAProxy counts from 0.
local function once(values)
  if values and values[1] then
    error("verify: the answer holds a header twice")
  end
  return values and values[0]
end

core.register_action("verify", { "http-req" }, function(txn, address, url)
  txn:set_var("txn.verified", 503)
  local answer = core.httpclient():get({
    dst = address,
    url = url,
    headers = {
      authorization = txn.http:req_get_headers()["authorization"], -- all of them: two are refused
      traceparent = txn.http:req_get_headers()["traceparent"], -- of the caller's trace
    },
    timeout = 15000, -- ms, longer than that of the section verify
  })

  local challenge = once(answer.headers["www-authenticate"])
  if (answer.status == 401 or answer.status == 403) and challenge then
    txn:set_var("txn.challenge", challenge)
    txn:set_var("txn.verified", answer.status)
  end

  if answer.status == 204 and once(answer.headers["x-auth-subject"]) then
    for _, name in ipairs(identity) do
      local value = once(answer.headers[name])
      if value then -- X-Auth-Subject-Issuer is not always there
        txn.http:req_set_header(name, value)
      end
    end
    txn:set_var("txn.verified", 204)
  end
end, 2)
