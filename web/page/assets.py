"""The scripts of Gradio that the page consists of."""

SCRIPTS = (
    "Index-Akn07EZk2.js",
    "core-Bdx9080F.js",
    "src-DcSdoR3U.js",
    "runtime-qxXi1UK7.js",
    "dist-Kll2twSG.js",
    "HistoryStorageControl-DuiTcqlS.js",
    "logo-D4NPp-_W.js",
    "statustracker-DQF-KcRT.js",
    "src-1GSBhSW9.js",
    "legacy-CDJ-45tY.js",
    "browser-DEyAkl5d.js",
    "Blocks-D1GWYZdr.js",
    "api-logo-CCEtYehn.js",
    "settings-logo-AL7zGNml.js",
    "Index-BtpqUM30.js",
    "Index-CwZFw7rD.js",
    "Example-h__FlDnt.js",
    "HTML-DBguWbVR.js",
    "Index-Dw2QElZn2.js",
    "Index-C71TU_Uc.js",
    "Example-YMHIbe4W.js",
    "Image-PyHwlVak.js",
    "ImagePreview-D7QICQRi.js",
    "src-COXhnU3J.js",
    "Index-3o3U-0UB.js",
    "Index-reaEz31n.js",
    "Example-BSPwNEyy.js",
    "Index-lnVPVsWk.js",
    "shared-cH3oJBDc.js",
    "Index-BvgenQIA.js",
)
"""The browser is told of all at once (`rel="modulepreload"`), where it would learn of most from those before them.

Names hold a hash of what is in the file: they belong to the version of Gradio that `pyproject.toml` pins, and
`tests/web/page/test_assets.py` says what to write here for another one."""
