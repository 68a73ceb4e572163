// Lists the operations of /openapi.json, each with the curl call that makes it.
'use strict';

const byId = (id) => document.getElementById(id);

// element makes a node; text is set as text, never as markup.
function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children.filter((child) => child !== null));
  return node;
}

// resolve follows a $ref within the document.
function resolve(doc, schema) {
  if (!schema || !schema.$ref) return schema || {};
  return schema.$ref.slice(2).split('/').reduce((at, key) => at[key], doc);
}

function typeOf(schema) {
  if (schema.enum) return schema.enum.join(' | ');
  const type = [].concat(schema.type || 'any').join(' or ');
  return schema.format ? `${type} (${schema.format})` : type;
}

// example builds a value that fits a schema, from the examples in it.
function example(doc, schema, depth = 0) {
  const s = resolve(doc, schema);
  if (s.examples && s.examples.length) return s.examples[0];
  if (s.default !== undefined) return s.default;
  if (s.enum) return s.enum[0];
  const type = [].concat(s.type || [])[0];
  if (type === 'array') return depth > 5 ? [] : [example(doc, s.items, depth + 1)];
  if (type === 'object') {
    const out = {};
    if (depth > 5) return out;
    for (const [name, member] of Object.entries(s.properties || {})) out[name] = example(doc, member, depth + 1);
    return out;
  }
  return { string: 'string', integer: 0, number: 0, boolean: false }[type] ?? null;
}

const quote = (text) => `'${String(text).replaceAll("'", "'\\''")}'`;

// request returns method, URL, headers and body as the fields stand now.
function request(op) {
  let path = op.path;
  const query = new URLSearchParams();
  const headers = {};
  for (const [name, field] of op.fields) {
    const value = field.input.value;
    if (field.in === 'path') path = path.replace(`{${name}}`, value ? encodeURIComponent(value) : `{${name}}`);
    else if (value && field.in === 'query') query.append(name, value);
    else if (value && field.in === 'header') headers[name] = value;
  }
  if (op.scheme === 'ProjectToken') headers['X-API-Key'] = byId('key').value || '$API_KEY';
  if (op.scheme === 'UserJWT') headers.Authorization = `Bearer ${byId('token').value || '$TOKEN'}`;
  if (op.body) headers['Content-Type'] = 'application/json';
  const search = query.toString();
  return { method: op.method, url: location.origin + path + (search ? `?${search}` : ''), headers, body: op.body && op.body.value };
}

// curl writes a request as a command. Credentials that are not typed in stay
// shell variables, so those are quoted to be expanded.
function curl(op) {
  const r = request(op);
  const parts = [`curl ${r.method === 'GET' ? '' : `-X ${r.method} `}${quote(r.url)}`];
  for (const [name, value] of Object.entries(r.headers)) {
    const text = `${name}: ${value}`;
    parts.push(`-H ${value.includes('$') ? `"${text}"` : quote(text)}`);
  }
  if (r.body) parts.push(`-d ${quote(r.body)}`);
  return parts.join(' \\\n  ');
}

async function send(op, output) {
  const r = request(op);
  output.hidden = false;
  output.textContent = '…';
  try {
    const answer = await fetch(r.url, { method: r.method, headers: r.headers, body: r.body || undefined });
    const text = await answer.text();
    // Shown as it came: parsing would round amounts.
    output.textContent = `${answer.status} ${answer.statusText}\n${text}`;
  } catch (error) {
    output.textContent = String(error);
  }
}

function parameters(doc, op, source) {
  const rows = [];
  for (const parameter of source.parameters || []) {
    const schema = resolve(doc, parameter.schema);
    const label = `${op.id}-${parameter.name}`;
    const input = element('input', { id: label, placeholder: String(parameter.example ?? (schema.examples || [])[0] ?? schema.default ?? '') });
    if (parameter.in === 'path' && input.placeholder) input.value = input.placeholder;
    op.fields.set(parameter.name, { in: parameter.in, input });
    rows.push(element('tr', {},
      element('td', {}, element('label', { for: label }, element('code', {}, parameter.name)), parameter.required ? ' *' : ''),
      element('td', {}, `${typeOf(schema)}. ${parameter.description || schema.description || ''}`),
      element('td', {}, input)));
  }
  return rows.length ? [element('h3', {}, 'Parameters'), element('table', {}, element('tbody', {}, ...rows))] : [];
}

function article(doc, path, method, source) {
  const op = { id: source.operationId, path, method: method.toUpperCase(), fields: new Map(), body: null,
    scheme: Object.keys((source.security || [{}])[0] || {})[0] };
  const signed = op.scheme && source.security.every((way) => way.Signature || way.UserJWT);
  const details = element('details', {}, element('summary', {},
    element('span', { class: `method ${method}` }, op.method), element('code', {}, path), element('span', { class: 'what' }, source.summary || '')));
  const inner = element('div', { class: 'body' });
  if (source.description) inner.append(element('p', {}, source.description));
  const scope = source['x-scope'] === 'master' ? 'the master key' : `${signed ? 'a signed request with' : 'an API key with'} the scope ${source['x-scope']}`;
  if (op.scheme) inner.append(element('p', { class: 'note' }, op.scheme === 'UserJWT' ? 'Takes a user token.' : `Takes ${scope}.`));
  inner.append(...parameters(doc, op, source));
  const media = source.requestBody && source.requestBody.content['application/json'];
  if (media) {
    op.body = element('textarea', { id: `${op.id}-body`, spellcheck: 'false', 'aria-label': 'Body' });
    op.body.value = JSON.stringify(example(doc, media.schema), null, 2);
    op.body.rows = op.body.value.split('\n').length;
    inner.append(element('h3', {}, 'Body'), op.body);
  }
  const command = element('pre', { tabindex: '0' });
  const output = element('pre', { tabindex: '0' });
  output.hidden = true;
  const update = () => { command.textContent = curl(op); };
  const copy = element('button', { type: 'button' }, 'Copy');
  copy.addEventListener('click', () => navigator.clipboard.writeText(command.textContent));
  const run = element('button', { type: 'button' }, 'Send');
  run.addEventListener('click', () => send(op, output));
  inner.append(element('h3', {}, 'Try it'), command, copy, run, output);
  for (const [status, answer] of Object.entries(source.responses || {})) {
    const shape = (answer.content || {})['application/json'];
    if (shape) inner.append(element('h3', {}, `Answer ${status}`), element('pre', { tabindex: '0' }, JSON.stringify(example(doc, shape.schema), null, 2)));
  }
  details.append(inner);
  details.addEventListener('toggle', update);
  inner.addEventListener('input', update);
  byId('credentials').addEventListener('input', update);
  update();
  return element('article', { id: `op-${op.id}` }, details);
}

function show(doc) {
  byId('version').textContent = doc.info.version;
  byId('about').textContent = doc.info.description || '';
  const groups = new Map();
  for (const [path, item] of Object.entries(doc.paths)) {
    for (const method of ['get', 'post', 'put', 'patch', 'delete']) {
      if (!item[method]) continue;
      const tag = (item[method].tags || ['Other'])[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push([path, method, item[method]]);
    }
  }
  const order = ['Users', 'Accounts', 'Totals', 'Events', 'Operation'];
  const rank = (tag) => (order.includes(tag) ? order.indexOf(tag) : order.length);
  byId('loading').remove();
  for (const [tag, operations] of [...groups].sort((a, b) => rank(a[0]) - rank(b[0]))) {
    byId('nav').append(element('h2', {}, tag));
    byId('operations').append(element('h2', {}, tag));
    for (const [path, method, source] of operations) {
      const node = article(doc, path, method, source);
      const link = element('a', { href: `#${node.id}` }, source.summary || path);
      link.addEventListener('click', () => { node.firstChild.open = true; });
      byId('nav').append(link);
      byId('operations').append(node);
    }
  }
  const wanted = location.hash && byId(location.hash.slice(1));
  if (wanted) { wanted.firstChild.open = true; wanted.scrollIntoView(); }
}

byId('credentials').addEventListener('submit', (event) => event.preventDefault());
fetch('/openapi.json').then((answer) => answer.json()).then(show).catch((error) => {
  byId('loading').textContent = `openapi.json could not be read: ${error}`;
});
