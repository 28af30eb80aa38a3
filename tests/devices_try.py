import sys, time, threading, base64, json
import cv2, numpy as np
from pathlib import Path
from live.app import build, read_run
from tests.browsers import *
from tests.time_code import *
import tempfile
codec=sys.argv[1]; W,H=(640,360) if len(sys.argv)<3 else (1280,720)
secs=12
cap=cv2.VideoCapture('live/samples/camera.mp4'); raw=[]
for i in range(90):
    im=cv2.resize(cap.read()[1],(W,H),interpolation=cv2.INTER_AREA); burn(im,1000+i); raw.append(im)
y4m=write_y4m(Path(tempfile.mkdtemp())/'cam.y4m',raw)
run=read_run(None,[f"sources.browser.width={W}",f"sources.browser.height={H}",f"sources.browser.codec={codec}",f"sinks.webrtc.codec={codec}"],{"source":"browser:0","face":"sample","sink":["webrtc:0"]})
loop=build(run); errs=[]
S=loop.parts.source; K=loop.parts.sinks['webrtc:0']; arr={}; wr={}; enc={}; drained={}
import live.sources.browser as lb
r0=S.read; w0=K.write
def rd():
    c=r0(); n=read(c.image); arr.setdefault(n,[]).append((time.time()-(time.perf_counter_ns()-c.captured_ns)/1e9, time.time())); return c
def wrt(f):
    n=read(f.image); a=time.time(); w0(f); wr.setdefault(n,[]).append((a,time.time()))
S.read=rd; K.write=wrt
def go():
    try: loop.run()
    except BaseException as e: errs.append(e)
t=threading.Thread(target=go); t.start()
while loop.parts.source._server is None or not loop.parts.source._server.url or loop.parts.sinks['webrtc:0']._server is None or not loop.parts.sinks['webrtc:0']._server.url:
    time.sleep(.1)
    if errs: raise errs[0]
with chromium(y4m) as b:
    c=b.new_context(viewport={'width':1280,'height':800})
    send=c.new_page(); send.on('console',lambda m:print('send',m.text)); send.on('pageerror',lambda m:print('send',m))
    send.goto(loop.parts.source._server.url); send.evaluate(READ_IN_PAGE)
    watch=c.new_page(); watch.on('console',lambda m:print('watch',m.text))
    watch.goto(loop.parts.sinks['webrtc:0']._server.url); watch.evaluate(READ_IN_PAGE)
    time.sleep(1); watch.screenshot(path='/tmp/w/rt_cover.png'); send.screenshot(path='/tmp/w/rt_send0.png')
    send.click('#go'); time.sleep(5); send.screenshot(path='/tmp/w/rt_send.png')
    send.evaluate("""() => { globalThis.seen=[]; const t=document.getElementById('view').srcObject.getVideoTracks()[0].clone();
      const r=new MediaStreamTrackProcessor({track:t, maxBufferSize:1}).readable.getReader();
      (async()=>{ for(;;){ const {value:f,done}=await r.read(); if(done) return; const now=performance.timeOrigin+performance.now(); globalThis.seen.push([readCode(f,f.codedWidth),now]); f.close(); } })(); }""")
    watch.evaluate("""() => { globalThis.seen=[]; const v=document.getElementById('picture');
      const step=()=>{ const now=performance.timeOrigin+performance.now(); seen.push([readCode(v,v.videoWidth),now,v.videoWidth]); v.requestVideoFrameCallback(step)}; v.requestVideoFrameCallback(step) }""")
    time.sleep(secs)
    A=send.evaluate("seen"); B=watch.evaluate("seen")
    stats=watch.evaluate("1")
    watch.screenshot(path='/tmp/w/rt_watch.png')
loop.stop(); t.join()
print(errs)
bad=sum(x[0] is None for x in B)
# match
import bisect
lat=[]; j=0
stage={k:[] for k in('cam>arrive','arrive>read','read>write','encode','write>seen')}
def before(lst,t,i): 
    c=[x for x in lst if x[i]<=t]; return c[-1] if c else None
sent=[(n,tm) for n,tm in A if n is not None]
for n,tm,w in B:
    if n is None: continue
    c=[s for k,s in sent if k==n and s<=tm]
    if c:
        lat.append(tm-c[-1])
        w=before(wr.get(n,[]),tm/1000,1); a=before(arr.get(n,[]),w[0],1) if w else None
        if a and w:
            for k,v in zip(stage,(a[0]*1000-c[-1],(a[1]-a[0])*1000,(w[0]-a[1])*1000,(w[1]-w[0])*1000,tm-w[1]*1000)): stage[k].append(v)
lat=np.array(lat)
print(codec,W,'frames sent',len(A)/secs,'seen',len(B)/secs,'undecodable',bad,'latency p50 %.1f p95 %.1f max %.1f'%tuple(np.percentile(lat,[50,95,100])), 'widths',set(x[2] for x in B))
print({k:'%.1f/%.1f'%tuple(np.percentile(v,[50,95])) for k,v in stage.items()})
r=loop.ledger.report(); print({k:r[k] for k in('age_ms','frames','covers','errors','dropped')}, r['steps_ms'])
