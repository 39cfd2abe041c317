// Plays a page in headless Chromium over its own debugging pipe and prints what the video element did.
//
// usage: node play.mjs PAGE_URL SECONDS PROFILE_FOLDER
// Each second one line: key=value pairs (time, width, height, ready, error,
// and the page's own `notes`), and what the browser's media log says of faults, as
// `media ...`. The last line is `end reason=...`. The page is any page with one <video>; it is
// muted and told to play.
// Does NOT download anything: the browser is the one that the system has.
import { spawn } from 'node:child_process';

const [page, seconds, profile] = process.argv.slice(2);
const chromium = process.env.CHROMIUM || '/usr/lib/chromium/chromium';
const browser = spawn(chromium, [
  '--headless=new', '--no-sandbox', '--disable-gpu', '--mute-audio',
  '--autoplay-policy=no-user-gesture-required', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--no-first-run', '--disable-quic',
  '--disable-extensions', '--disable-dev-shm-usage', '--no-default-browser-check',
  '--disable-features=Translate,OptimizationHints,MediaRouter',
  '--proxy-server=direct://', '--window-size=800,600',
  `--user-data-dir=${profile}`, '--remote-debugging-pipe', 'about:blank',
], { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
console.log(`browser pid=${browser.pid}`);

let next = 1;
const waiting = new Map();
let rest = '';
browser.stdio[4].setEncoding('utf8');
browser.stdio[4].on('data', (text) => {
  rest += text;
  for (let end = rest.indexOf('\0'); end >= 0; end = rest.indexOf('\0')) {
    const message = JSON.parse(rest.slice(0, end));
    rest = rest.slice(end + 1);
    if (message.method === 'Media.playerErrorsRaised') {
      console.log(`media ${JSON.stringify(message.params.errors)}`);
    }
    if (message.method === 'Media.playerMessagesLogged') {
      for (const { level, message: text } of message.params.messages) {
        if (level === 'error' || level === 'warning') console.log(`media ${level} ${text}`);
      }
    }
    waiting.get(message.id)?.(message);
    waiting.delete(message.id);
  }
});
const call = (method, params = {}, sessionId = undefined) => new Promise((resolve) => {
  const id = next++;
  waiting.set(id, resolve);
  browser.stdio[3].write(JSON.stringify({ id, method, params, sessionId }) + '\0');
});
let ending = false;
const finish = (reason) => {
  if (ending) return;
  ending = true;
  console.log(`end reason=${reason}`);
  // Its folder is removed after this: the browser must be gone by then.
  browser.removeAllListeners('exit');
  browser.on('exit', () => process.exit(0));
  setTimeout(() => process.exit(0), 2000);
  browser.kill('SIGKILL');
};
process.on('SIGTERM', () => finish('sigterm'));
browser.on('exit', () => finish('browser-ended'));
setTimeout(() => finish('deadline'), (Number(seconds) + 30) * 1000);

const look = `(() => {
  const v = document.querySelector('video');
  if (!v) return 'state=no-video';
  v.muted = true;
  if (v.paused) v.play().catch(() => {});
  const q = v.getVideoPlaybackQuality();
  const e = v.error ? (v.error.code + ':' + v.error.message).replace(/\\s+/g, '_') : 'none';
  return 'state=video time=' + v.currentTime.toFixed(3) + ' width=' + v.videoWidth
    + ' height=' + v.videoHeight + ' ready=' + v.readyState + ' frames=' + q.totalVideoFrames
    + ' audio=' + (v.webkitAudioDecodedByteCount ?? -1) + ' error=' + e
    + ' notes=' + (window.notes ?? []).join(',');
})()`;

const { result: target } = await call('Target.createTarget', { url: 'about:blank' });
const { result: attached } = await call('Target.attachToTarget', { targetId: target.targetId, flatten: true });
const session = attached.sessionId;
await call('Media.enable', {}, session);
await call('Page.navigate', { url: page }, session);
for (let second = 0; second < Number(seconds); second += 1) {
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const answer = await call('Runtime.evaluate', { expression: look, returnByValue: true }, session);
  console.log(`second=${second + 1} ${answer.result?.result?.value ?? 'state=no-answer'}`);
}
finish('done');
