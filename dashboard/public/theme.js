// Before anything is drawn: the theme that was chosen on this machine. Without a choice screens of the centre are dark,
// and a handheld follows its own day and night. src/lib/theme.ts goes on from here.
;(function () {
  var chosen = null
  try {
    chosen = localStorage.getItem('theme')
  } catch {
    // Storage may be forbidden: then as without a choice.
  }
  var handheld = matchMedia('(max-width: 700px)').matches && matchMedia('(prefers-color-scheme: light)').matches
  var theme = chosen === 'light' || chosen === 'dark' ? chosen : handheld ? 'light' : 'dark'
  document.documentElement.dataset.theme = theme
})()
