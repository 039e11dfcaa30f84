"""Function words by which languages are told apart, beside those that begin sentences. Data only.

Languages of which splitting knows no words have lists here so that a text is not taken for one of a neighbour's.
"""

from __future__ import annotations

from functools import cache

from polyseme.tasks.text.splitting.abbreviations import languages, own_starters

_WORDS = {
    # Languages with words for splitting: what they do not share with a neighbour.
    "en": "the of and to is was that with be been which their they were has had would by an",
    "de": "ist sind wird wurde wurden hat hatte dass das und nicht sich auch einen eines kein wir werden kann",
    "nl": "het een van is werd zijn niet wordt worden aan uit naar over geen heeft deze hebben hij bij ook",
    "da": "af ikke jeg dig mig sig hvad noget nogle også efter kun meget blev bliver være været havde ud op mod"
    " hvilket hende ham dem deres vores have uden selv anden andre nu hvordan kunne skulle ville burde gør gøre"
    " sagde sig mellem både to tre sådan lige får få sit sin ned frem tilbage",
    "no": "av ikke jeg deg meg seg hva noe noen også etter bare mye ble blir være vært hadde ut opp mot som"
    " henne ham dem deres vår uten selv annen andre nå hvordan kunne skulle ville burde gjør gjøre sa mellom både"
    " to tre slik like får få sitt sin ned frem tilbake",
    "nn": "ikkje eg ein eit dei frå kva korleis kvifor berre mykje vere vore hadde ho me dykk dykkar nokon noko"
    " den det de han vi du her der så om men hans dette denne desse då no vart blir etter anna andre sjølv"
    " mellom både når òg så av og til for på med som er han kor mange heile",
    "sv": "och att är som inte av för på med ett var men om så har hade från blev blir också eller mycket jag sig"
    " han hon vara varit utan mot sina detta kan ska skulle",
    "fr": "est sont était dans et les des du une pas au aux sur par ne se qui que pour plus cette ils être a été",
    "es": "el los las del una y es por con para su que se no más como fue pero ha sus al lo este son también hasta",
    "it": "il gli della dei delle nel che è per con una non si del al sono anche ha come alla più di dal le lo"
    " questo nella fu e ed i",
    "pt": "o os da do das dos em não um uma que é com para foi se ao por mais na no nas nos como são pelo pela à"
    " também ser ele ela seu sua até já",
    "ro": "și în de la cu este nu că care pe din o un să fost mai au a al ale lui sau pentru dar fi prin după sunt",
    "fi": "ja on ei oli että se hän mutta kun niin ovat ole myös kuin olla joka siitä vain voi sitä"
    " vielä kanssa kaikki jotka olen olin mitä jo hyvin ollut olisi tai jonka noin ettei eivät en minun mutta"
    " kuitenkin",
    "pl": "i w na z się nie że do jest to po był przez od za jak o dla oraz być są co",
    "cs": "a v se na je že s z do o i k ve pro za by po jsem jsou není byl být který také ale nebo tak jak při už"
    " jako jeho však která které ještě než až když si jen podle",
    "ru": "и в не на что он с как по это но из за то от все так его у был был она бы к же только было ещё вы мне"
    " для если уже или быть до ни них чтобы этом",
    "uk": "і в не на що він з як по це але із за то від все так його у був вона б до же тільки було ще та є для"
    " якщо вже або бути й які який яка під про також",
    "hu": "a az és hogy nem is egy van volt meg de csak mint már ez ki azt lehet el vagy még ha",
    "tr": "bir ve bu için ile olarak da de çok olan gibi daha kadar sonra ne var değil olduğu o",
    "vi": "và của là có không được trong cho các một người với những khi để từ này đã",
    # Languages of which splitting knows no words.
    "bg": "и в на да се е за от с не че по са като го си но му ще до при това той тя те беше бе има няма един една"
    " едно който която което които след или още само как аз ние вие или без към сме съм трябва може този тази"
    " тези във със между под над много защо къде когато дали бил била било били",
    "mk": "и во на да се е за од со не дека по ќе го ја ги ѝ му но до при ова тој таа тие беше има нема еден една"
    " едно кој која кое кои како или само уште јас ние вие без кон сме сум треба може овој оваа овие меѓу под над"
    " многу зошто каде кога дали бил биле што",
    "sr": "и у на да се је за од са не по су ће га ју их јој му али до при ово он она они био била било има нема"
    " један једна једно који која које како или само још ја ми ви без ка смо сам треба може овај ова ови између"
    " под над много зашто где када да ли били што као из због након али није бити у"
    " i u na da se je za od sa ne po su će ga ju ih joj mu ali do pri ovo on ona oni bio bila bilo ima nema jedan"
    " jedna jedno koji koja koje kako ili samo još ja mi vi bez smo sam treba može ovaj ova ovi između mnogo zašto"
    " gde kada kao iz zbog nakon nije biti što posle pre takođe te dok bi koju kojim ovde vreme mesto svet reč deo"
    " dela celi uvek čovek dve obe sledeći sledeće sede videti ko neko niko evro svoje svoju svojim predsednik",
    "hr": "i u na da se je za od s sa ne po su će ga ju ih joj mu ali do pri ovo on ona oni bio bila bilo ima nema"
    " jedan jedna jedno koji koja koje kako ili samo još ja mi vi bez smo sam treba može ovaj ova ovi između mnogo"
    " zašto gdje kada kao iz zbog nakon nije biti što poslije prije također te dok bi"
    " tijekom koju kojim ovdje vrijeme mjesto svijet riječ dio dijela cijeli uvijek čovjek dvije obje sljedeći"
    " sljedeće"
    " vidjeti tko netko nitko euro svoje svoju svojim predsjednik",
    "sk": "a v sa na je že s z do o i k vo pre za by po som sú nie bol byť ktorý tiež ale alebo tak ako pri už jeho"
    " však ktorá ktoré ešte než až keď si len podľa zo od či aj ich to bola bolo boli čo kde prečo mu svoje bude"
    " môže tento táto medzi pred pod nad",
    "sl": "in v se na je da z s za po so ni bil biti ki tudi ampak ali tako kot pri že njegov pa jih še ko si le iz"
    " od kaj kje zakaj mu svoje bo lahko ta to te med pred pod nad bila bilo bili sem smo ga jo ne ker bi kjer do"
    " o k sta zaradi kar ter nekaj več",
    "be": "і у ў не на што ён з як па гэта але із за то ад усе так яго быў яна б да ж толькі было яшчэ та ёсць для"
    " калі ужо або быць якія які якая пад пра таксама гэты гэтай вы мы яны іх ці была былі дзе чаму пасля без",
    "ca": "el la els les i de del dels a al als amb en un una per que és no es són va ser com més o però seva seu"
    " aquest aquesta també ha han hi ho pel pels des fins entre sense molt tot tots quan on qui què li ell ella"
    " nosaltres vam van estat està fer ja si d l s n",
    "gl": "o os a as e de do da dos das en no na nos nas un unha que é con para foi se ao por máis como son pola"
    " polo á tamén ser el ela seu súa ata xa pero non unhas uns aos ás sen entre moi ou cando onde ten han fixo"
    " esta este isto lle lles eu nós hai todo",
    "oc": "lo la los las de del dels e que es en un una per amb dins son pas se au aux mai tanben aquel aquesta"
    " foguèt es estat mas o coma entre sus d l",
    "ast": "el la los les y de del nel na una un que ye con pa por nun se foi son asina tamién pero como d l más yera"
    " al polos polo pola dende ente esti esta too tola cuando onde hai ensin hasta so",
    "eo": "la kaj de estas en ne li ŝi ĝi ĉi tio tiu kiu por sed al el unu mi vi ili oni kiel ke pri kun post ankaŭ"
    " estis je sur per aŭ pli da ĝis nur tre kiam kie ĉar se ni sia lia ĉiuj iu esti tamen",
    "la": "et in est non ad cum ut sed qui quod quae ex a ab de si per quam sunt autem enim esse atque nec neque aut"
    " se eius hoc ille quo me te nos vos mihi tibi id quidem etiam erat eum eo quoque pro vel ac nunc tamen omnes"
    " quia sicut dixit igitur haec his eorum fuit",
    "id": "yang dan di ini itu dengan untuk dari dalam tidak pada adalah akan ke juga oleh ia sebagai dapat karena"
    " ada atau telah kami saya mereka bisa lebih seperti sudah tersebut kepada saat hanya menjadi secara orang",
    "ga": "agus an na ar i is go a do le ag sé sí ní bhí tá ach mar sin seo é í de ó faoi gur nach bhfuil iad níl cé"
    " chun leis air raibh as nuair don den sa san sna dá ba mé tú siad muid féin eile aon",
    "gd": "agus an na air a anns is gu do le aig e i cha bha tha ach mar sin seo de o fo gun nach bheil iad ann leis"
    " bho chan airson às nuair don dhen mi thu sibh fhèin eile aon",
    "cy": "y yr a ac yn i o ar mae ei am wedi gan fod oedd bod ond hefyd neu eu un nid sydd roedd hwn hyn fel wrth"
    " dros mewn at hynny dim fe er pan ni chi nhw",
    "lb": "an de den dat déi der si ass war vun op mat fir net och et e en eng ech hien ee wéi awer als bei um am zu"
    " um aus no hunn huet sinn gouf dass dës dëser iwwer zum zur well wann do nëmmen méi ginn kann vum hat",
    "gsw": "und isch de d s en e nöd nid vo uf mit für au es ich er si händ hät gsi wo wie aber als bi im am z"
    " us nach"
    " dass das die dr mir ihr no scho öppis ned sin het sind wäge nume meh cha",
    "af": "die en van in is het nie wat 'n n te vir met op dat hy sy hulle aan om was word sal as ook maar deur"
    " by ons"
    " ek dit daardie sê kon sou kan so tot na uit of daar hierdie nog baie meer waar haar hom moet oor",
    "et": "ja on ei oli et see ta kui aga ka ning siis mis ma nii kes või oma välja mida seda olid oleks nagu veel"
    " selle pole juba küll vaid enam kuid nad me te ole olema pärast",
    "is": "og að í er á sem það við um ekki var til með en fyrir af hann hún ég því þetta frá eru þess eftir hafa"
    " þar verið einnig eða upp sér",
    "lt": "ir į kad su tai yra iš ne už bet kaip ar buvo jis ji po apie nuo dar tik jo taip ką aš jų per jau",
    "lv": "un ir ka ar no uz ne par tas bet kā vai bija viņš viņa pēc arī lai šo tikai ko es to pie jau kas gan",
    "sq": "dhe në e të i që me për një nuk është ka si nga u se por tij më këtë ose kjo ishte kanë janë",
    "eu": "eta da ez bat du dira ere zen izan baina hau egin dute zuen den bere dela beste baino edo hori dago",
    "tl": "ang ng sa na mga at ay si ito hindi ni kung nang may para siya isang niya ako o pero rin din",
    "sw": "na ya wa kwa ni katika za la kuwa cha hii yake huo huu kama lakini pia watu alikuwa wake hiyo au",
}  # fmt: skip


_LETTERS = {
    "ru": "ыэёъщ", "be": "ўіыэё", "uk": "їєґіщ", "bg": "ъщ", "mk": "ѓќѕљњџј", "sr": "ћђљњџјđć", "hr": "đć",
    "cs": "řěů", "sk": "ľŕĺ", "pl": "łęć", "lt": "ęėų", "lv": "ģķņļ", "hu": "őű", "tr": "ğı", "ro": "șță", "vi": "ăươđ",
    "de": "ß", "pt": "ãõ", "et": "õ", "es": "ñ", "gl": "ñ", "ast": "ñ", "eu": "ñ", "tl": "ñ", "eo": "ŭĝŝĉ",
    "da": "æø", "no": "æø", "nn": "æø", "is": "æþð",
}  # fmt: skip
"""Letters that only some languages have."""


@cache
def languages_of_words() -> dict[str, tuple[str, ...]]:
    """Return the languages of each word, by their codes of ISO 639."""
    found: dict[str, set[str]] = {}
    for code in {*languages(), *_WORDS}:
        for word in own_starters(code) | frozenset(_WORDS.get(code, "").split()):
            found.setdefault(word, set()).add(code)
    return {word: tuple(sorted(codes)) for word, codes in found.items()}


@cache
def languages_of_letters() -> dict[str, tuple[str, ...]]:
    """Return the languages of each letter that only some have."""
    letters = sorted({letter for own in _LETTERS.values() for letter in own})
    return {letter: tuple(code for code, own in _LETTERS.items() if letter in own) for letter in letters}
