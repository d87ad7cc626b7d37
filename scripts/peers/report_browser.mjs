// Opens reports of maspo in headless Chromium, offline, and fails if a page asks for anything, runs
// anything, overflows a phone, or has a serious fault of accessibility. It takes pictures, too.
//
//   apt-get install chromium
//   mkdir /tmp/browser && cd /tmp/browser && npm init -y && npm install puppeteer-core axe-core
//   node scripts/peers/report_browser.mjs /tmp/browser OUT report.html [more.html …]
//
// OUT is a folder for the pictures. A page must set no global `pwned`: hostile traces of
// tests/report_page.rs try to.

import { createRequire } from 'node:module';
import { mkdirSync, readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [modules, out, ...pages] = process.argv.slice(2);
if (pages.length === 0) {
  console.error('usage: node report_browser.mjs MODULES OUT report.html …');
  process.exit(2);
}
const require = createRequire(join(resolve(modules), 'package.json'));
const puppeteer = require('puppeteer-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
mkdirSync(out, { recursive: true });

const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--host-resolver-rules=MAP * ~NOTFOUND'],
});
let faults = 0;
const fault = (text) => {
  faults += 1;
  console.log(`  FAULT ${text}`);
};

for (const file of pages) {
  for (const [width, scheme, script] of [[390, 'light', true], [390, 'dark', true], [1280, 'light', true], [1280, 'dark', true], [390, 'light', false], [1280, 'light', false]]) {
    const name = `${basename(file, '.html')}-${width}-${scheme}${script ? '' : '-noscript'}`;
    console.log(name);
    const page = await browser.newPage();
    const requests = [];
    page.on('request', (request) => requests.push(request.url()));
    page.on('dialog', (dialog) => { fault(`a dialog: ${dialog.message()}`); dialog.dismiss(); });
    page.on('pageerror', (error) => fault(`a script failed: ${error.message}`));
    page.on('console', (message) => fault(`the console says: ${message.text()}`));
    await page.setViewport({ width, height: width === 390 ? 844 : 900, deviceScaleFactor: 1, isMobile: width === 390 });
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
    await page.setJavaScriptEnabled(script);
    const address = pathToFileURL(resolve(file)).href;
    await page.goto(address, { waitUntil: 'load' });
    const overflows = () => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    // Scripts of this tool run even where those of pages do not.
    if ((await overflows()) > 0) fault(`the page is ${await overflows()} px too wide`);
    await page.screenshot({ path: join(out, `${name}.png`) });
    await page.evaluate(() => document.querySelectorAll('details').forEach((one) => { one.open = true; }));
    if ((await overflows()) > 0) {
      fault(`with everything open the page is ${await overflows()} px too wide`);
      const wide = await page.evaluate(() => [...document.querySelectorAll('body *')]
        .filter((one) => !one.closest('.scroll') && one.getBoundingClientRect().right > innerWidth + 1)
        .slice(0, 5).map((one) => `${one.tagName}.${one.className} ${Math.round(one.getBoundingClientRect().right)}`));
      console.log(`  ${wide.join('; ')}`);
    }
    const heavy = await page.evaluate(() => document.querySelectorAll('script').length !== 1 ||
      document.querySelectorAll('img, iframe, object, embed, link, base, form, audio, video').length > 0 ||
      [...document.querySelectorAll('*')].some((one) => [...one.attributes].some((own) => /^on|^style$/.test(own.name))));
    if (heavy) fault('there is markup that no template writes');
    if (await page.evaluate(() => 'pwned' in window)) fault('a trace ran a script');
    if (script) {
      // The policy forbids to add a script to the page, so axe is run in a world of its own.
      const session = await page.createCDPSession();
      const { frameTree } = await session.send('Page.getFrameTree');
      const world = await session.send('Page.createIsolatedWorld', { frameId: frameTree.frame.id, worldName: 'axe' });
      const evaluate = (expression) => session.send('Runtime.evaluate', { expression, contextId: world.executionContextId, awaitPromise: true, returnByValue: true });
      await evaluate(axe);
      const run = await evaluate('axe.run(document, { resultTypes: ["violations"] }).then((found) => found.violations.map((one) => ({ id: one.id, impact: one.impact, help: one.help, nodes: one.nodes.length, first: one.nodes[0].html.slice(0, 200), why: one.nodes[0].failureSummary })))');
      for (const found of run.result.value ?? []) {
        const text = `${found.impact}: ${found.id} (${found.nodes}): ${found.help}: ${found.first} ${found.why}`;
        if (['serious', 'critical'].includes(found.impact)) fault(text);
        else console.log(`  axe ${text}`);
      }
      if (!run.result.value) fault(`axe did not run: ${JSON.stringify(run).slice(0, 300)}`);
      // Every stop of the tab key must be seen and named.
      await page.goto(address, { waitUntil: 'load' });
      const stops = [];
      for (let stop = 0; stop < 40; stop += 1) {
        await page.keyboard.press('Tab');
        stops.push(await page.evaluate(() => {
          const at = document.activeElement;
          const box = at.getBoundingClientRect();
          const label = at.labels?.[0]?.textContent ?? at.getAttribute('aria-label') ?? at.textContent;
          return { tag: at.tagName, label: label.trim().replace(/\s+/g, ' ').slice(0, 40), seen: box.width > 0 && box.height > 0, top: box.top + scrollY };
        }));
      }
      const tabbed = stops.filter((stop) => stop.tag !== 'BODY');
      if (tabbed.some((stop) => !stop.seen || !stop.label)) fault(`a stop of the tab key has no name: ${JSON.stringify(tabbed.find((stop) => !stop.seen || !stop.label))}`);
      if (width === 1280 && scheme === 'light') console.log(`  tab order: ${tabbed.slice(0, 14).map((stop) => stop.label).join(' > ')}`);
    }
    const foreign = requests.filter((url) => url !== address);
    if (foreign.length > 0) fault(`the page asked for ${foreign.slice(0, 5).join(', ')}`);
    await page.close();
  }
}
await browser.close();
console.log(faults === 0 ? 'no faults' : `${faults} faults`);
process.exit(faults === 0 ? 0 : 1);
