// A second evaluator of IAM policies, and a stand-in for IAM that is made of it.
//
// second_opinion.mjs NODE_MODULES_PARENT <REQUEST
//
// Reads [{principal, policies, boundary or null, resource, context}] (context with all that a read of that
// secret would have), answers one line {"address": "HOST:PORT", "decisions": ["Allowed", ...]}, and from then
// on answers SimulatePrincipalPolicy there, for those principals, until standard input ends. Unlike MiniStack
// it takes the context entries of the question into account, says which keys it lacked, and answers about
// every resource.

import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const { runSimulation } = createRequire(join(process.argv[2], 'package.json'))('@cloud-copilot/iam-simulate')

// The evaluator does not know the keys secretsmanager:ResourceTag/...; they have the values of aws:ResourceTag/....
const known = (key) => key.replace(/^secretsmanager:ResourceTag\//i, 'aws:ResourceTag/')
const knownPolicy = (policy) => JSON.parse(JSON.stringify(policy).replaceAll(/"secretsmanager:ResourceTag\//gi, '"aws:ResourceTag/'))

async function decide({ principal, policies, boundary, resource }, context) {
  const named = (policy, number) => ({ name: `policy-${number}`, policy: knownPolicy(policy) })
  const result = await runSimulation(
    {
      request: {
        principal,
        action: 'secretsmanager:GetSecretValue',
        resource: { resource, accountId: '000000000000' },
        contextVariables: Object.fromEntries(Object.entries(context).map(([key, value]) => [known(key), value])),
      },
      identityPolicies: policies.map(named),
      serviceControlPolicies: [],
      resourceControlPolicies: [],
      ...(boundary && { permissionBoundaryPolicies: [boundary].map(named) }),
    },
    {},
  )
  if (result.resultType !== 'single') throw new Error(`${principal}: ${JSON.stringify(result.errors ?? result)}`)
  return result.overallResult
}

function conditionKeys(policies) {
  const statements = policies.flatMap((policy) => [policy.Statement].flat())
  const conditions = statements.flatMap((statement) => Object.values(statement.Condition ?? {}))
  return [...new Set(conditions.flatMap((condition) => Object.keys(condition)))]
}

const words = { Allowed: 'allowed', ExplicitlyDenied: 'explicitDeny', ImplicitlyDenied: 'implicitDeny' }
const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
const members = (texts) => texts.map((text) => `<member>${escaped(text)}</member>`).join('')

async function simulate(rows, form) {
  const row = rows.find((row) => row.principal === form.get('PolicySourceArn'))
  if (!row) return [404, '<ErrorResponse><Error><Code>NoSuchEntity</Code><Message>none</Message></Error></ErrorResponse>']
  const numbered = (name) => {
    const values = []
    while (form.has(name(values.length + 1))) values.push(form.get(name(values.length + 1)))
    return values
  }
  const keys = numbered((n) => `ContextEntries.member.${n}.ContextKeyName`)
  const values = numbered((n) => `ContextEntries.member.${n}.ContextKeyValues.member.1`)
  const context = Object.fromEntries(keys.map((key, n) => [key, values[n]]))
  const given = keys.map((key) => key.toLowerCase())
  const missing = conditionKeys([...row.policies, ...(row.boundary ? [row.boundary] : [])])
    .filter((key) => !given.includes(key.toLowerCase()))
  // As AWS does since it answers once for an action: the strictest decision of all, then each by itself.
  const strictness = ['allowed', 'implicitDeny', 'explicitDeny']
  let results = ''
  let strictest = 0
  for (const resource of numbered((n) => `ResourceArns.member.${n}`)) {
    const decision = words[await decide({ ...row, resource }, context)]
    strictest = Math.max(strictest, strictness.indexOf(decision))
    results +=
      `<member><EvalResourceName>${escaped(resource)}</EvalResourceName>` +
      `<EvalResourceDecision>${decision}</EvalResourceDecision>` +
      `<MatchedStatements/><MissingContextValues>${members(missing)}</MissingContextValues></member>`
  }
  return [
    200,
    `<SimulatePrincipalPolicyResponse><SimulatePrincipalPolicyResult><IsTruncated>false</IsTruncated>` +
      `<EvaluationResults><member><EvalActionName>secretsmanager:GetSecretValue</EvalActionName>` +
      `<EvalResourceName>${escaped(form.get('ResourceArns.member.1'))}</EvalResourceName>` +
      `<EvalDecision>${strictness[strictest]}</EvalDecision>` +
      `<ResourceSpecificResults>${results}</ResourceSpecificResults></member></EvaluationResults></SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>`,
  ]
}

const lines = createInterface({ input: process.stdin })
const rows = JSON.parse((await lines[Symbol.asyncIterator]().next()).value)
const decisions = []
for (const row of rows) decisions.push(await decide(row, row.context))

const server = createServer(async (request, response) => {
  let body = ''
  for await (const part of request) body += part
  let status, answer
  try {
    ;[status, answer] = await simulate(rows, new URLSearchParams(body))
  } catch (error) {
    ;[status, answer] = [400, `<ErrorResponse><Error><Code>Test</Code><Message>${escaped(String(error))}</Message></Error></ErrorResponse>`]
  }
  const length = Buffer.byteLength(answer)
  response.writeHead(status, { 'content-type': 'text/xml', 'content-length': length, connection: 'close' }).end(answer)
})
server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ address: `127.0.0.1:${server.address().port}`, decisions }))
})
process.stdin.on('end', () => process.exit())
process.stdin.on('close', () => process.exit())
