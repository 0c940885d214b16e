"""Forms of personal data other than names, dates and identity numbers: one pattern or more a kind.

Kinds follow the identifiers that HIPAA's safe harbour lists (45 CFR 164.514(b)(2)), with host paths and the subject
identifiers of cohorts, whose data use agreements forbid to pass them on.

Each pattern takes a time that grows as the text does, whatever stands in it (tests/test_linear_time.py): a run that
could be read in two ways is possessive (`++`, `*+`), and one that a match may begin anywhere in is bounded.
"""

import re

_NO_WORD_BEFORE, _NO_WORD_AFTER = r"(?<![A-Za-z0-9])", r"(?![A-Za-z0-9])"
_UPPER = "A-ZÀ-ÖØ-ÞŁŚŽČŠ"
_CAPITALISED = rf"[{_UPPER}][\w'’.&-]{{0,80}}+"
_TOP_LEVEL = (
    r"(?:edu|org|com|net|gov|mil|int|info|biz|io|local|internal|lan|intra|corp|localdomain|ac\.[a-z]{2}|"
    r"co\.[a-z]{2}|nhs\.uk|"
    r"de|uk|fr|nl|it|es|ch|at|be|se|no|dk|fi|pl|cz|ca|au|nz|jp|cn|kr|in|br|mx|us|eu|pt|ie|gr|hu|ro|ru|tr|il|za|sg|"
    r"hk|tw)"
)
_STREET = (
    r"(?:Street|Str|St|Avenue|Ave|Av|Road|Rd|Lane|Ln|Drive|Dr|Boulevard|Blvd|Court|Ct|Way|Place|Pl|Square|Sq|"
    r"Terrace|Ter|"
    r"Parkway|Pkwy|Highway|Hwy|Circle|Cir|Trail|Trl|Crescent|Cres|Close|Row|Walk|Gardens?|Mews|Hill|Hills|Green|"
    r"Grove|Park|"
    r"Plaza|Point|Ridge|View|Views|Village|Heights|Mount|Meadows?|Mills?|Manors?|Locks?|Isle|Islands?|Junctions?|"
    r"Keys?|Knolls?|"
    r"Lakes?|Landing|Light|Lights|Loop|Mission|Motorway|Oval|Overpass|Pass|Passage|Pike|Pines?|Port|Ports|Prairie|"
    r"Ramp|Ranch|"
    r"Rapids?|Rest|River|Roads|Route|Shoals?|Shores?|Skyway|Springs?|Spurs?|Squares|Station|Stravenue|Stream|"
    r"Streets|Summit|"
    r"Throughway|Trace|Track|Trafficway|Tunnel|Turnpike|Underpass|Union|Unions|Valley|Valleys|Via|Viaduct|Ville|"
    r"Vista|Walks|"
    r"Wall|Ways|Well|Wells|Alley|Bayou|Beach|Bend|Bluffs?|Branch|Bridge|Brooks?|Burgs?|Bypass|Camp|Canyon|Cape|"
    r"Causeway|"
    r"Center|Centers|Circles|Cliffs?|Club|Common|Corners?|Course|Courts|Coves?|Creek|Crest|Crossing|Crossroad|Curve|"
    r"Dale|Dam|"
    r"Divide|Estates?|Expressway|Extensions?|Falls?|Ferry|Fields?|Flats?|Fords?|Forest|Forges?|Forks?|Fort|Freeway|"
    r"Garden|"
    r"Gateway|Glens?|Greens|Groves|Harbors?|Haven|Hollow|Inlet)"
)
_STATE = (
    r"(?:A[LKZRSAEP]|C[AOT]|D[EC]|F[LM]|G[AU]|HI|I[ADLN]|K[SY]|LA|M[ADEHINOPST]|N[CDEHJMVY]|O[HKR]|P[ARW]|RI|S[CD]|"
    r"T[NX]|"
    r"UT|V[AIT]|W[AIVY])"
)
_HOSPITAL = (
    r"(?:Hospitals?|HOSPITALS?|Clinics?|CLINIC|Medical Cent(?:er|re)|MEDICAL CENT(?:ER|RE)|Health ?[Cc](?:are|enter|"
    r"entre)|Health System|"
    r"Health Centre|Infirmary|Hospice|Sanatorium|Polyclinic|Imaging Cent(?:er|re)|Radiology (?:Associates|Group|"
    r"Practice|Partners)|"
    r"Cancer Cent(?:er|re)|Memory Clinic|General|Memorial|University|UNIVERSITY|College|Institute|INSTITUTE|"
    r"Klinikum|KLINIKUM|"
    r"Krankenhaus|Klinik|Universität|Universiteit|Universitet|Ziekenhuis|Sykehus|Sjukhus|Sairaala|Szpital|Nemocnice|"
    r"Hastanesi|"
    r"NHS (?:Foundation )?Trust|Med Ctr|MED CTR|Hosp\.?|HOSP\.?|Univ\.?|UNIV\.?|GENERAL|MEMORIAL)"
)
_FOREIGN_HOSPITAL = (
    r"(?:Universit(?:y|é|à|ätsklinikum|ätsklinik|ät|ätsmedizin|äts-\w++)|UNIVERSITY|Universidade?|Institut[eo]?|"
    r"Hospital|Klinikum|Uniklinik(?:um)?|"
    r"Charit[éeÉ]|Hôpital|Hopital|Hôpitaux|CHU|CHRU|CHUV|Clinique|Clínica|Clinica|Ospedale|Policlinico|"
    r"Azienda Ospedaliera|IRCCS|"
    r"Krankenhaus|Klinik|Centre [Hh]ospitalier|Centro [Mm]édico|Ziekenhuis|UMC|Akademiska|Sahlgrenska|Szpital|Praxis)"
)
_LINK = r"(?:of|de|du|des|di|della|del|la|le|für|fuer|am|in|im|van|at|St\.?|Saint|Santa|San|Sankt|zu|and|et|y|e|-)"


def _compile(pattern: str, flags: int = 0) -> re.Pattern:
    return re.compile(f"{_NO_WORD_BEFORE}{pattern}", flags)


# The first group, where a pattern has one, is the part that is personal.
PATTERNS: tuple[tuple[str, re.Pattern], ...] = (
    ("e-mail", re.compile(r"[\w.+%-]{1,64}+(?:@|\s?\(at\)\s?|\s?\[at\]\s?)[\w-]++(?:\.[\w-]++)++", re.IGNORECASE)),
    ("web address", re.compile(r"(?:\b(?:https?|s?ftp|s3|gs|ssh|hf|dicom)://|\bwww\.)[^\s\"'<>()]++", re.IGNORECASE)),
    # Phones
    ("phone number", re.compile(r"(?<![\w+.-])(?:\+|00)\d{1,3}[\s.()/-]{0,3}\d(?:[\s.()/-]{0,3}\d){6,13}(?!\d)")),
    ("phone number", re.compile(r"(?<![\w+.-])(?:\+|00[ -]?)(?:290|683|690)[ -]?\d{4}(?!\d)")),  # islands
    (
        "phone number",
        re.compile(
            r"(?<![\w.+-])(?:1[-. ])?(?:\(\d{3}\)\s?|\d{3}[-. ])\d{3}[-. ]\d{4}(?:\s?(?:x|"
            r"ext\.?)\s?\d{1,6})?(?![\w-]|\.\d)"
        ),
    ),
    (
        "phone number",
        re.compile(r"(?<![\w.,+-])\(?0\d{1,5}\)?\s?[/ -]\s?(?:\d{2,}+(?:[ -]\d{2,}+){1,4}|\d{4,}+)(?![\w-]|[.,]\d)"),
    ),
    (
        "phone number",  # a group of one digit, with eight others at least
        re.compile(r"(?<![\w.,+-])(?=(?:\d ?){9})0[1-9]\d{1,2} \d(?: \d{2,}+){1,3}(?![\w-]|[.,]\d)"),
    ),
    ("phone number", re.compile(r"(?<!\w)\(0(?:-[3-6]\d{2}|\d \d{1,2})\) \d{3}(?:\d{2,4}| \d{3,4})(?![\w-]|[.,]\d)")),
    ("phone number", re.compile(r"(?<![\w.,+-])0[1-9](?:[ .]\d{2}){4}(?![\w.-])")),
    ("phone number", re.compile(r"(?<!\w)\(0\)\d{3,5}[ /-]?\d{4,8}(?!\d)")),
    ("phone number", re.compile(r"(?<![\w.+-])\d{3}[.-]\d{3}[.-]\d{4}(?:\s?x\d{1,6})?(?!\w)")),
    (
        "phone number",
        _compile(
            r"(?:tel|telephone|phone|ph|mobile|cell|fax|pager|call(?:ed)?|ring|dial|reach(?:ed)? (?:\w++ )?(?:at|on|"
            r"under)|"
            r"contact(?: \w++)?|telefon|handy|téléphone|teléfono|telefono|móvil|whatsapp|sms)(?:s?\s?(?:no|number|nr|"
            r"nummer)\b)?"
            r"[\s.:=#]{1,3}(?:is |at |on |under )?(\+?\(?\d[\d\s().x/-]{5,20}\d)",
            re.IGNORECASE,
        ),
    ),
    (
        "phone number",  # within a house, or on an island: short, behind a label that says what it is
        _compile(
            r"(?:tel|telephone|phone|fax|pager|telefon|handy|téléphone|teléfono|telefono|móvil|whatsapp)"
            r"(?:s?\s?(?:no|number|nr|nummer)\b)?\s?[.:=#]\s?(\d[\d -]{2,7}\d)(?![\w-]|[.,]\d)",
            re.IGNORECASE,
        ),
    ),
    # No measurement has so many digits: a phone, account or record number without its label.
    ("record number", re.compile(r"(?<![\w.,+-])\d{9,}+(?![\w]|[.,]\d)")),
    # Machines
    ("network address", re.compile(r"(?<![\w:-])(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}(?![\w:-])")),
    (
        "network address",
        re.compile(
            r"(?<![\w.-])(?<!version )(?<!Version )(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]\d?)\.)(?:(?:25[0-5]|2[0-4]\d|"
            r"1\d\d|\d{1,2})\.){2}"
            r"(?:25[0-5]|2[0-4]\d|1\d\d|\d{1,2})(?![.-]*+\w)"
        ),
    ),
    ("network address", re.compile(r"(?<![\w:])(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}(?![\w:])", re.IGNORECASE)),
    ("host name", _compile(rf"(?:[a-z0-9][a-z0-9-]{{0,62}}+(?<!-)\.){{1,20}}{_TOP_LEVEL}(?![\w-]|\.\w)")),
    (
        "host name",
        _compile(
            r"(?:host(?:name)?|machine|workstation|node|server)\s*+[:=]\s*+(?!x86|amd64|arm64|aarch64)([\w-]++(?:\.[\w-]++)*+)",
            re.IGNORECASE,
        ),
    ),
    (
        "user name",
        _compile(
            r"(?:user ?(?:name|id)?|username|login(?: as)?|logname|account name|owner|author|uploaded by|"
            r"created by)\s*+[:=]\s*+"
            r"([\w][\w.@-]++)",
            re.IGNORECASE,
        ),
    ),
    ("host path", re.compile(r"(?<![\w.:/<~])~?/(?:[\w.+@%-]++(?: [\w.+@%-]++)?/)++[\w.+@%=-]*+")),
    (
        "host path",
        re.compile(r"(?<![\w.:/<])/(?:home|Users|mnt|media|data|scratch|root|Volumes|tmp|export)/[\w.+@%=-]++"),
    ),
    ("host path", re.compile(r"(?<![\w.])~\w++/[\w./-]++")),
    ("host path", re.compile(r"(?<![A-Za-z0-9])[A-Za-z]:[\\/]++[\w$][^\s\"'<>|;,]*+")),
    ("host path", re.compile(r"\\\\[\w.$-]++\\[^\s\"'<>|;,]++")),
    ("host path", re.compile(r"\bfile:/[^\s\"'<>]++", re.IGNORECASE)),
    # Numbers that an institution gives to a person, a visit or a device
    (
        "record number",
        _compile(
            r"(?:MRN|m\.r\.n\.|(?:medical|health|hospital|patient|clinic|chart|case|encounter|admission|accession|"
            r"account|visit|"
            r"insurance|policy|member|beneficiary|medicare|medicaid|certificate|licen[cs]e|order|requisition|study|"
            r"exam|subject|"
            r"participant|referral|passport|claim|ticket|registration|health plan|driver'?s? licen[cs]e|unit|file|"
            r"record|"
            r"passeport|dossier|fall|patienten|aufnahme|versicherten|kranken\w{0,40})[\s_-]?(?:record[\s_-]?|card[\s_-]?|"
            r"reference[\s_-]?)?"
            r"(?:numbers?|num|no|nr|nummer|id|ids|identifier|#|number)|acc(?:ession)?(?!uracy)|PID|PatID|HCN|NHI|UHID|IPP|"
            r"plate|VIN)"
            r"(?:[\s.]*+(?:is|was|:|=|#|no\.?|number)){0,2}[\s.:=#_-]*+(?!sub-)"
            r"([A-Z]{0,5}[-/]?(?=(?:[\w/-]{0,40}?\d){3})[A-Z0-9][\w/-]{3,}+)",
            re.IGNORECASE,
        ),
    ),
    ("record number", _compile(r"MRN[\s:#=_-]*+(\d{3,}+(?:[ -]\d{2,}+)*+)", re.IGNORECASE)),
    ("record number", re.compile(r"(?<![A-Za-z0-9])(?:MRN|PID|PAT|ACC)[-_]?\d{4,}(?![A-Za-z])", re.IGNORECASE)),
    (
        "identity number",
        _compile(
            r"(?:SSN|social security(?: (?:number|no|nr))?|national (?:id|insurance|identity|health)(?: (?:number|"
            r"no|nr))?|"
            r"tax(?:payer)? (?:id|number)|NINO|NHS(?: (?:number|no))?|BSN|personnummer|CPR|AHV|steuer-?id|"
            r"sozialversicherungsnummer|codice fiscale|DNI|NIE|PESEL|CPF|aadhaar|PPSN?|SIN|TFN|NIF|"
            r"citizen (?:number|id))(?![A-Za-z])"
            r"(?:[\s.]*+(?:is|:|=|#|no\.?))?[\s:=#]*+([A-Z]{0,3}\d[\dA-Z .-]{5,20}[\dA-Z])",
            re.IGNORECASE,
        ),
    ),
    (
        "device number",
        _compile(
            r"(?:(?:(?:device|scanner|coil|implant|pacemaker|station|machine|unit)[\s_-]*+)?(?:serial|S/N|SN|ser\.)|"
            r"device(?: ?id| number| no)|"
            r"implant(?: ?id| number| no)|deviceserialnumber|station ?name|asset(?: tag)?|model no)\s*+(?:numbers?|"
            r"no|nr)?\s*+[.:=#]*+\s*+(?:is\s++)?"
            r"((?=(?:[\w/-]{0,40}?\d){2})[A-Z0-9][\w/-]{3,}+)",
            re.IGNORECASE,
        ),
    ),
    ("DICOM UID", re.compile(r"(?<![\w.])[12]\.(?:2|3|16|25)\.\d++(?:\.\d++){3,}(?!\w)")),
    # Places
    (
        "postal address",
        re.compile(
            rf"(?<![\w.])\d{{1,6}}[A-Za-z]?,?\s++(?:[NSEW]\.?\s++)?(?:{_CAPITALISED}\s++){{1,3}}{_STREET}(?:\.|\b)"
            rf"(?:,?\s++(?:Apt|Suite|Unit|Ste|Flat|Floor|Room)"
            rf"\.?\s*+#?\s*+\w++)?(?:,?\s++(?:{_CAPITALISED}[ ,]++){{1,3}}(?:{_STATE})?\s?\d{{5}})?"
        ),
    ),
    (
        "postal address",
        _compile(rf"(?:{_CAPITALISED}[ ]){{0,2}}{_CAPITALISED},? {_STATE},? \d{{5}}(?:-\d{{4}})?(?!\d)"),
    ),
    (
        "postal address",
        _compile(rf"(?:Flat|Studio|Apt|Unit|Suite|P\.?O\.? Box|PSC|Box) \d++\w?,? (?:{_CAPITALISED}[ ,]*+){{0,3}}"),
    ),
    ("postal address", _compile(r"(?:[A-Z]{1,2}\d[A-Z\d]? \d[ABD-HJLNP-UW-Z]{2})(?![A-Za-z0-9])")),  # United Kingdom
    (
        "postal address",
        re.compile(
            # From the beginning of a word on, or behind a house number: "Weg 5-Allee 7".
            rf"(?:(?<![\w-])(?!answering )(?:[{_UPPER}][\w-]*+ ){{0,5}}[\w-]*|(?<=\d-)[\w-]{{0,60}})"
            rf"(?:straße|strasse|Straße|Gasse|Weg|Strasse|str\.|Str\.|weg|"
            rf"allee|Allee|platz|"
            r"Platz|gasse|ring|Ring|damm|ufer|straat|laan|plein|gracht|kade|singel|dreef|boulevard|hof|pad|park|"
            r"gränd|stigen|backen|torget|baan|gatan|vägen|gata|vej|gade|veien|katu|utca)"
            r" ?\d{1,4}(?:[/-]\d+)?[a-z]?(?!\w)(?:,? (?:[A-Z]{1,2}-)?\d{4,5}(?: ?[A-Z]{2})? "
            rf"[{_UPPER}][\w-]++)?"
        ),
    ),
    (
        "postal address",
        _compile(
            rf"\d{{0,4}},? ?(?:bis |ter )?(?:rue|Rue|avenue|Avenue|boulevard|Boulevard|chemin|Chemin|impasse|allée|"
            rf"quai|place)"
            rf" (?:(?:de|du|des|la|le|l'|d'|saint|sainte)[ -]?){{0,3}}{_CAPITALISED}(?:[ -]{_CAPITALISED})*+"
        ),
    ),
    (
        "postal address",
        _compile(
            rf"(?:Via|Viale|Piazza|Corso|Vicolo|Strada|Contrada|Calle|Avenida|Plaza|Paseo|Camino|Ronda|Urbanización|"
            rf"Rambla|Glorieta|Callejón|"
            rf"Borgo|Canale|Rotonda|Stretto|Incrocio|Largo|Pasaje|Cañada|Cuesta|Acceso|Alameda|Vial|Rua|Travessa|"
            rf"ulica|ul\.|ulica|Ulica|aleja|plac|pl\.|al\.|C/)\s(?:(?:de|del|di|la|las|los|da|dos)\s)*+"
            rf"{_CAPITALISED}(?:\s{_CAPITALISED}){{0,3}},?\s(?:n[º°.]?\s?)?\d+(?:/\d+)?"
        ),
    ),
    (
        "postal address",
        _compile(rf"\d{{5}},? [{_UPPER}][a-zà-ÿ-]++(?:,? (?:Germany|Deutschland|France|Italia|Italy|España|Spain))"),
    ),
    (
        "postal address",
        _compile(r"(?:lives?|resides?|residing|address|home|wohnhaft|living) (?:at|is|in|:)[^.\n]{0,40}?\d{1,5}"),
    ),
    # Places of care and research
    (
        "institution",
        _compile(rf"(?!The |A |An |In |At |Our |This )(?:{_CAPITALISED}\s++){{1,5}}(?:and |& )?{_HOSPITAL}(?!\w)"),
    ),
    (
        "institution",
        _compile(
            rf"{_FOREIGN_HOSPITAL}(?:\s{_LINK}(?=\s))*(?:\s[{_UPPER}][\w'’.-]++)"
            rf"(?:[ -](?:(?:{_LINK}|de la) )?[{_UPPER}][\w'’-]++){{0,4}}"
        ),
    ),
    (
        "institution",
        _compile(rf"[{_UPPER}][\w-]{{0,80}}(?:klinikum|klinik|krankenhaus|spital|ziekenhuis|sjukhuset|sykehus)(?!\w)"),
    ),
    (
        "institution",
        _compile(
            r"(?:institution(?:name| name)?|hospital(?: name)?|site name|department|clinic|facility|"
            r"ward)\s*+[:=]\s*+([A-Z][\w .&'-]++)",
            re.IGNORECASE,
        ),
    ),
    (
        "institution",
        _compile(
            r"(?:Mass General|Johns Hopkins|Karolinska|Mayo|Cedars[- ]Sinai|Massachusetts General|UCSF|UCLA|UCSD|"
            r"MGH|NIMH|Brigham and Women|Guy's and St)(?!\w)"
        ),
    ),
    (
        "institution",
        re.compile(
            r"(?<![A-Za-z0-9])(?:[a-z]++[_-])?(?:hospital|klinikum|uniklinik|infirmary)[_-][a-z]++", re.IGNORECASE
        ),
    ),
    # Ages over 89
    (
        "age over 89",
        _compile(
            r"(?:9\d|1[01]\d)[\s-]?(?:years?|yrs?|y\.?o\.?|y/o|yo|Jahre|ans|años|anni|jaar)(?:[\s-](?:old|"
            r"alt))?(?![a-z])",
            re.IGNORECASE,
        ),
    ),
    (
        "age over 89",
        _compile(
            r"(?:aged?|age at \w{1,40}|turned|patientage|alter|PatientsAge)\s*+(?:of|is|:|=)?\s*+((?:9\d|1[01]\d|"
            r"0(?:9\d))Y?(?![\d.,]*\d|\s?%))",
            re.IGNORECASE,
        ),
    ),
    ("age over 89", _compile(r"(0(?:9\d)|1[01]\d)Y(?![A-Za-z0-9])")),
    # Subject identifiers of cohorts
    ("cohort id", _compile(r"\d{3}_S_\d{4}(?!\d)")),  # ADNI
    ("cohort id", _compile(r"(?:ADNI|sub-ADNI)[_-]?\d{3}_?S_?\d{4}", re.IGNORECASE)),
    ("cohort id", _compile(r"(?:sub-)?NDAR_?INV[A-Z0-9]{8}(?![A-Za-z0-9])", re.IGNORECASE)),  # ABCD and others of NDA
    ("cohort id", _compile(r"(?:sub-)?NDAR[_-]?[A-Z]{2}\d{3}[A-Z]{3}", re.IGNORECASE)),  # NDA's GUID
    (
        "cohort id",
        _compile(
            r"(?:UKB|UKBB|UK[_ ]?Biobank|eid)[\s_:=-]*+(?:eid|id|subject|participant)?[\s_:=#-]*+[1-6]\d{6}(?!\d)",
            re.IGNORECASE,
        ),
    ),
    ("cohort id", _compile(r"[1-6]\d{6}_20(?:2\d\d|252)_[2-4]_\d")),  # UK Biobank's bulk fields
    ("cohort id", _compile(r"OAS(?:[1-4]_?\d{4}|[34]\d{4})(?!\d)", re.IGNORECASE)),  # OASIS
    ("cohort id", _compile(r"(?:HCP|HCPA|HCPD|HCD|HCA|LS)[\s_:-]?(?:subject[\s_:-]?)?\d{6,7}(?!\d)", re.IGNORECASE)),
    ("cohort id", _compile(r"PPMI[\s_:#-]*+(?:subject|patient|patno|id)?[\s_:=#-]*+\d{4,6}(?!\d)", re.IGNORECASE)),
    ("cohort id", _compile(r"IXI\d{3}(?!\d)(?:-[A-Za-z]+-\d{4})?")),
    ("cohort id", _compile(r"(?:sub-)?CC[1-7][12]\d{4}(?!\d)")),  # Cam-CAN
    ("cohort id", _compile(r"NACC\d{6}(?!\d)")),
    ("cohort id", _compile(r"TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}")),
    ("cohort id", _compile(r"(?:sub-)?A000\d{5}(?!\d)")),  # NKI Rockland
    (
        "cohort id",
        _compile(
            r"(?:AIBL|ABIDE|PNC|NCANDA_S|IMAGEN|COBRE|FCON|BLSA|CNP|GENR|ROSMAP|HABS|MCSA|WRAP|SRPBS|BSNIP|LASI|"
            r"HELIUS|ELSA|WHICAP|ADRC)[\s_:#-]{0,2}(?:subject|id|no)?[\s_:=#-]{0,2}[A-Z]?\d{3,12}(?!\d)"
        ),
    ),
    (
        "cohort id",
        _compile(
            r"(?:Pitt|NYU|USM|UCLA|UM|Yale|KKI|Leuven|MaxMun|Olin|OHSU|SDSU|Stanford|Trinity|CMU|SBL|"
            r"Caltech)(?:_\d)?_005\d{4}(?!\d)"
        ),
    ),
)
# Numbers that tell a cohort's subject only where an identifier stands alone: UK Biobank's 7 digits, HCP's and PNC's 6,
# NDA's bare GUID. Elsewhere they are just numbers.
ID_PATTERNS: tuple[tuple[str, re.Pattern], ...] = (
    ("cohort id", re.compile(r"(?<![A-Za-z0-9.])(?:sub-)?[1-6]\d{6}(?![A-Za-z0-9.]*\d)")),
    ("cohort id", re.compile(r"(?<![A-Za-z0-9.])(?:sub-)?[1-9]\d{5}(?![A-Za-z0-9])")),
    ("cohort id", re.compile(r"(?<![A-Za-z0-9])(?:sub-)?INV[A-Z0-9]{8}(?![A-Za-z0-9])")),
)
# "Montreal Neurological Institute" names a space of coordinates, the others tests, scales, software or licences.
ALLOWED = re.compile(
    r"Montreal Neurological Institute|Hospital Anxiety|Mini[- ]Mental|MNI\w*|General (?:Linear|Public|Electric|"
    r"Ability|Cognitive)|"
    r"(?:In|By|Siemens|Philips) General|Stanford[- ]Binet|Edinburgh Handedness|Pittsburgh (?:Sleep|Compound)|"
    r"Boston Naming"
)
FILE_NAMES = re.compile(
    r"(?<!\w)\w++\.(?:json|nii|gz|mgz|txt|tsv|csv|md|py|sh)\b"
)  # no host names, in spite of .py and .sh
